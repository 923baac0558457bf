// PNG pictures.
#include "frazil/io/picture.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size,
                           [](const frazil::io::ByteSource& source) { (void)frazil::io::read_png(source); });
}
