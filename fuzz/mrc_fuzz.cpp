// Header and first and last section of an MRC file.
#include "frazil/io/mrc.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size, [](const frazil::io::ByteSource& source) {
    const auto header = frazil::io::open_mrc(source);
    frazil::Image image(header.nx, header.ny);
    frazil::io::read_mrc_section(source, header, 0, image.span());
    frazil::io::read_mrc_section(source, header, header.nz - 1, image.span());
  });
}
