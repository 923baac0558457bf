// Directories and first and last frame of a TIFF file.
#include "frazil/io/tiff_frame.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size, [](const frazil::io::ByteSource& source) {
    const auto index = frazil::io::read_tiff_index(source);
    frazil::Image image(index.nx, index.ny);
    frazil::io::read_tiff_frame(source, index, 0, image.span(), 1);
    frazil::io::read_tiff_frame(source, index, static_cast<int>(index.frames.size()) - 1, image.span(), 1);
  });
}
