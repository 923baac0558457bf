// An EER movie in both containers: index, marks, electrons of some rows and a rendered fraction.
#include "frazil/io/eer.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size, [size](frazil::io::ByteSource source) {
    const frazil::io::EerFile file(std::move(source));
    const int last = file.raw_frames() - 1, ny = file.index().ny,
              row = static_cast<int>(size % static_cast<std::size_t>(ny));
    (void)file.broken_frames(1);
    std::vector<frazil::Electron> scratch;
    for (const auto& e : file.electrons(last, row, ny, scratch))
      if (e.x8 >= 8 * file.index().nx || e.y8 >= 8 * ny || e.y8 < 8 * row) std::abort();
    const auto grid = static_cast<frazil::EerGrid>(size % 3);
    if (file.nx(grid) < 1 || file.ny(grid) < 1 || file.nx(grid) > 2048 || file.ny(grid) > 2048) return;
    frazil::Image image(file.nx(grid), file.ny(grid));
    file.render(0, std::min(last + 1, 3), grid, image.span(), 1);
  });
}
