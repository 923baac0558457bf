// Tags and image of a DM3 or DM4 file.
#include "frazil/io/dm.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size, [](const frazil::io::ByteSource& source) {
    const auto index = frazil::io::open_dm(source);
    frazil::Image image(index.nx, index.ny);
    frazil::io::read_dm_section(source, index, index.nz - 1, image.span());
  });
}
