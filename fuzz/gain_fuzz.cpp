// A gain reference in any container and orientation.
#include "frazil/io/gain.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size, [size](frazil::io::ByteSource source) {
    const auto orientation = static_cast<frazil::io::GainOrientation>(size % 8);
    (void)frazil::io::read_gain(std::move(source), 0, 0, orientation,
                                size % 16 < 8 ? frazil::io::GainKind::multiply : frazil::io::GainKind::divide);
  });
}
