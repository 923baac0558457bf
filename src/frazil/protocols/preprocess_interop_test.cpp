// preprocess-micrograph against relion_image_handler, where their operations are comparable.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "frazil/algo/preprocess/preprocess.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::protocols {
namespace {

bool has_relion() { return std::system("command -v relion_image_handler > /dev/null 2>&1") == 0; }

/// A square image with power at all frequencies, even sides.
Image test_image() {
  Image image(240, 240, 1.5_A);
  Rng rng(17);
  for (float& v : image.pixels()) v = static_cast<float>(rng.normal(100, 10));
  for (int y = 0; y < 240; ++y)
    for (int x = 0; x < 240; ++x)
      image(x, y) += static_cast<float>(30 * std::exp(-(std::pow(x - 90, 2) + std::pow(y - 150, 2)) / 200));
  return image;
}

Image by_relion(const io::TestFolder& folder, const Image& image, const std::string& options) {
  const auto in = (folder / "in.mrc").string(), out = (folder / "out.mrc").string();
  io::write_image(in, image);
  const auto command =
      "relion_image_handler --i " + in + " --o " + out + " --angpix 1.5 " + options + " > /dev/null 2>&1";
  if (std::system(command.c_str()) != 0) throw Error(ErrorCode::external, "failed: {}", command);
  return io::read_image(out);
}

double rms_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a.pixels()[i] - b.pixels()[i]), 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST(PreprocessInterop, DownsamplesLikeRelion) {
  if (!has_relion()) GTEST_SKIP() << "relion_image_handler is not installed";
  const io::TestFolder folder;
  const auto image = test_image();
  preprocess::PreprocessParams params;
  params.downsampled_pixel_size = 3_A;
  const auto ours = preprocess::preprocess(image, params), theirs = by_relion(folder, image, "--rescale_angpix 3");
  ASSERT_EQ(ours.nx(), theirs.nx());
  const double difference = rms_difference(ours, theirs) / statistics(ours).stddev;
  std::printf("downsampling: differs from RELION's by %.1e standard deviations, correlation %.6f\n", difference,
              correlation(ours.pixels(), theirs.pixels()));
  EXPECT_LT(difference, 0.1);  // the components at the new Nyquist frequency are treated differently
}

TEST(PreprocessInterop, FiltersAndInvertsLikeRelion) {
  if (!has_relion()) GTEST_SKIP() << "relion_image_handler is not installed";
  const io::TestFolder folder;
  const auto image = test_image();
  preprocess::PreprocessParams low;
  low.low_pass = 12_A;
  low.edge = 1.0 / 30;  // RELION's edge: 2 of the 30 rings to 12 A, centred on the limit
  const auto theirs = by_relion(folder, image, "--lowpass 12");
  const auto ours = preprocess::preprocess(image, low);
  std::printf("low-pass: correlation with RELION's %.6f\n", correlation(ours.pixels(), theirs.pixels()));
  EXPECT_GT(correlation(ours.pixels(), theirs.pixels()), 0.999);
  preprocess::PreprocessParams high;
  high.high_pass = 60_A;
  high.edge = 1.0 / 6;
  const auto sharp = by_relion(folder, image, "--highpass 60");
  const auto ours_high = preprocess::preprocess(image, high);
  std::printf("high-pass: correlation with RELION's %.6f\n", correlation(ours_high.pixels(), sharp.pixels()));
  EXPECT_GT(correlation(ours_high.pixels(), sharp.pixels()), 0.999);
  preprocess::PreprocessParams inverse;
  inverse.invert = true;
  inverse.normalise = preprocess::Normalisation::stddev;
  auto negative = by_relion(folder, image, "--multiply_constant -1");
  preprocess::PreprocessParams normal;
  normal.normalise = preprocess::Normalisation::stddev;
  negative.pixel_size = image.pixel_size;
  EXPECT_LT(rms_difference(preprocess::preprocess(image, inverse), preprocess::preprocess(negative, normal)), 1e-4);
}

}  // namespace
}  // namespace frazil::protocols
