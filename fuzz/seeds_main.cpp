// Writes small valid files of every kind, from which the fuzzers start: fuzz_seeds FOLDER.
#include <filesystem>
#include <iostream>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/tiff_writer.hpp"
#include "frazil/sim/dm_writer.hpp"
#include "frazil/sim/eer_writer.hpp"

namespace frazil {
namespace {

Image counts(int nx, int ny) {
  Rng rng(1);
  Image image(nx, ny, 1.5_A);
  for (auto& value : image.pixels()) value = static_cast<float>(rng.below(10));
  return image;
}

void write_seeds(const std::filesystem::path& folder) {
  const auto image = counts(20, 12);
  for (const auto mode :
       {io::MrcMode::i8, io::MrcMode::i16, io::MrcMode::f32, io::MrcMode::u16, io::MrcMode::f16, io::MrcMode::u4}) {
    io::StackWriter stack(folder / fmt::format("mode{}.mrcs", static_cast<int>(mode)), 20, 12, 1.5_A, mode);
    for (int i = 0; i < 2; ++i) stack.append(image);
    stack.close();
  }
  int number = 0;
  for (const auto compression : {io::TiffCompression::none, io::TiffCompression::lzw, io::TiffCompression::deflate})
    for (const auto type : {io::PixelType::u8, io::PixelType::i16, io::PixelType::f32})
      for (const bool big : {false, true}) {
        io::TiffStackWriter stack(folder / fmt::format("{}.tif", number++), 20, 12,
                                  {compression, type, big, 5, big, 1.5_A});
        for (int i = 0; i < 2; ++i) stack.append(image);
        stack.close();
      }
  number = 0;
  for (const auto& format : {sim::EerFormat{.compression = 65000},
                             {.compression = 65001, .strips = 3},
                             {.compression = 65002, .run_bits = 6, .sub_x_bits = 1, .sub_y_bits = 1},
                             {.compression = 65001, .big = false, .final_image = true}}) {
    sim::EerWriter eer(folder / fmt::format("{}.eer", number++), 20, 12, format, sim::eer_metadata(2, 1, 1, 20, 12, 1));
    for (std::uint32_t f = 0; f < 2; ++f)
      eer.append(std::vector<sim::Electron>{{f, 1, 2}, {100 + f, 3, 0}, {239, 2, 2}});
    eer.close();
  }
  sim::EerWriter legacy(folder / "legacy.eer", 4096, 4096, {.legacy = true});
  for (int f = 0; f < 2; ++f)
    legacy.append_bytes(std::vector<std::uint8_t>(24, 255));  // a whole sensor would be too long to fuzz
  legacy.close();
  for (const int version : {3, 4}) write_text(folder / fmt::format("x.dm{}", version), sim::dm_file(image, version));
  write_text(folder / "defects.txt", "# a list\n1 2 3 4\n0 0 1 12\n");
  write_text(folder / "x.star",
             "data_optics\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n_rlnImagePixelSize #3\n1 300 1.5\n\n"
             "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n000001@a.mrcs 1\n'b c' 1 # note\n\ndata_x\n_rlnA "
             "\"q\"\n");
  write_text(folder / "old.star", "data_\nloop_\n_rlnVoltage\n_rlnMagnification\n_rlnDetectorPixelSize\n300 50000 5\n");
  write_text(folder / "exposure.xml",
             "<MicroscopeImage "
             "xmlns=\"a\"><microscopeData><stage><Position><X>-0.0008</X></Position></stage></microscopeData></"
             "MicroscopeImage>");
  write_text(folder / "x.expression", "rlnA < 2 && !(rlnB == 3) || -rlnA * 2 >= 1e3");
  write_text(folder / "x.mdoc",
             "T = SerialEM\n[FrameSet = 0]\nStagePosition = 792.8 -213.6\nMultishotHoleAndPosition = 1-1\n");
  io::write_png(folder / "x.png", io::to_picture_auto(image));
  io::write_png(folder / "rgb.png", io::Picture(9, 5, 3));
  io::write_jpeg(folder / "x.jpg", io::to_picture_auto(image));
}

}  // namespace
}  // namespace frazil

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz_seeds FOLDER\n";
    return 2;
  }
  try {
    frazil::make_folders(argv[1]);
    frazil::write_seeds(argv[1]);
  } catch (const frazil::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
