#include "frazil/io/picture.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/error.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::io {

Picture::Picture(int width, int height, int channel_count)
    : nx(width),
      ny(height),
      channels(channel_count),
      pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
             static_cast<std::size_t>(channel_count)) {
  expect(width > 0 && height > 0 && (channel_count == 1 || channel_count == 3),
         "a picture has pixels and 1 or 3 channels");
}

std::uint8_t* Picture::at(int x, int y) {
  return pixels.data() + (static_cast<std::size_t>(y) * static_cast<std::size_t>(nx) + static_cast<std::size_t>(x)) *
                             static_cast<std::size_t>(channels);
}
const std::uint8_t* Picture::at(int x, int y) const {
  return const_cast<Picture*>(this)->at(x, y);
}  // NOLINT: own member

Picture to_picture(ImageView image, float low, float high) {
  Picture picture(image.nx, image.ny, 1);
  const float scale = high > low ? 255.0F / (high - low) : 0.0F;
  for (int y = 0; y < image.ny; ++y)
    for (int x = 0; x < image.nx; ++x) {
      const float grey = (image(x, y) - low) * scale;
      *picture.at(x, y) = grey > 0 ? static_cast<std::uint8_t>(std::min(grey, 255.0F) + 0.5F) : std::uint8_t{0};
    }
  return picture;
}

Picture to_picture_auto(ImageView image) {
  constexpr double quartiles_apart = 1.349, reach = 3;  // of a normal distribution, in its standard deviations
  const double middle = quantile(image, 0.5),
               half = reach * (quantile(image, 0.75) - quantile(image, 0.25)) / quartiles_apart;
  double low = quantile(image, 0), high = quantile(image, 1);
  if (half > 0) {
    low = std::max(low, middle - half);
    high = std::min(high, middle + half);
  }
  return to_picture(image, static_cast<float>(low), static_cast<float>(high));
}

Image to_image(const Picture& picture, Angstrom pixel_size) {
  Image image(picture.nx, picture.ny, pixel_size);
  for (int y = 0; y < picture.ny; ++y)
    for (int x = 0; x < picture.nx; ++x) {
      const auto* at = picture.at(x, y);
      image(x, y) =
          picture.channels == 1 ? static_cast<float>(at[0]) : static_cast<float>(at[0] + at[1] + at[2]) / 3.0F;
    }
  return image;
}

void write_png(const std::filesystem::path& path, ImageView image, float low, float high) {
  write_png(path, to_picture(image, low, high));
}
void write_png_auto(const std::filesystem::path& path, ImageView image) { write_png(path, to_picture_auto(image)); }

}  // namespace frazil::io
