// A defect list or map.
#include "frazil/io/defects.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(
      data, size, [](frazil::io::ByteSource source) { (void)frazil::io::read_defects(std::move(source), 20, 12); });
}
