#include "frazil/io/format_check.hpp"

#include <algorithm>
#include <functional>

#include "frazil/base/error.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::io {
namespace {

/// Whole numbers 0 to 15, which every pixel type holds.
Image sample() {
  Rng rng(1);
  Image image(61, 43, 1.25_A);
  for (auto& value : image.pixels()) value = static_cast<float>(rng.below(16));
  return image;
}

bool equal(const Image& a, const Image& b) {
  return a.nx() == b.nx() && a.ny() == b.ny() && std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin());
}

class Checker {
 public:
  explicit Checker(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// `round_trip(path)` says whether what came back is what went in.
  void check(const std::string& format, const std::string& ending,
             const std::function<bool(const std::filesystem::path&)>& round_trip) {
    const auto path = folder_ / ("format-check" + ending);
    FormatCheck result{format, false, {}};
    try {
      result.works = round_trip(path);
      if (!result.works) result.detail = "what was read differs from what was written";
    } catch (const Error& error) {
      result.detail = error.what();
    }
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    results.push_back(std::move(result));
  }

  std::vector<FormatCheck> results;

 private:
  std::filesystem::path folder_;
};

void check_tiff(Checker& checker, const Image& image, TiffCompression compression, PixelType type, bool big) {
  const char* name = compression == TiffCompression::none  ? "uncompressed"
                     : compression == TiffCompression::lzw ? "LZW"
                                                           : "deflate";
  checker.check(fmt::format("{} {} {}", big ? "BigTIFF" : "TIFF", name, to_string(type)), ".tif",
                [&](const auto& path) {
                  TiffStackWriter writer(path, image.nx(), image.ny(), {compression, type, false, 8, big});
                  for (int i = 0; i < 2; ++i) writer.append(image);
                  writer.close();
                  return equal(MovieReader(path).read_frame(1, 2), image);
                });
}

bool star_round_trip(const std::filesystem::path& path) {
  StarFile file;
  auto& table = file.add(StarTable("particles", {"rlnImageName", "rlnCoordinateX"}));
  table.set(table.add_row(), 0, "000001@a.mrcs");
  table.set(0, 1, 0.1);
  write_star(path, file);
  const auto back = read_star(path);
  return back.table("particles").text(0, 0) == "000001@a.mrcs" && back.table("particles").number(0, 1) == 0.1;
}

}  // namespace

std::vector<FormatCheck> check_formats(const std::filesystem::path& folder) {
  Checker checker(folder);
  const auto image = sample();
  for (const auto mode : {MrcMode::i8, MrcMode::i16, MrcMode::f32, MrcMode::u16, MrcMode::f16, MrcMode::u4})
    checker.check(fmt::format("MRC mode {}", static_cast<int>(mode)), ".mrc", [&](const auto& path) {
      write_image(path, image, mode);
      return equal(read_image(path), image);
    });
  for (const bool big : {false, true})
    for (const auto compression : {TiffCompression::none, TiffCompression::lzw, TiffCompression::deflate})
      for (const auto type : {PixelType::u8, PixelType::i8, PixelType::u16, PixelType::i16, PixelType::f32})
        check_tiff(checker, image, compression, type, big);
  checker.check("STAR", ".star", star_round_trip);
  checker.check("PNG", ".png", [&](const auto& path) {
    const auto picture = to_picture(image, 0, 15);
    write_png(path, picture);
    return read_png(path).pixels == picture.pixels;
  });
  checker.check("JPEG", ".jpg", [&](const auto& path) {
    write_jpeg(path, to_picture(image, 0, 15));
    const auto back = read_jpeg(path);
    return back.nx == image.nx() && back.ny == image.ny();
  });
  return std::move(checker.results);
}

}  // namespace frazil::io
