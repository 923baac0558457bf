// Pictures small enough to stand inside an HTML file, as data URIs.
#pragma once

#include <filesystem>
#include <string>

#include "frazil/image/image.hpp"

namespace frazil::report {

/// A grey PNG of the image, `low` black and `high` white.
[[nodiscard]] std::string png_uri(ImageView image, float low, float high);
/// The same with the limits at the 1 % and 99 % quantiles.
[[nodiscard]] std::string png_uri(ImageView image);
/// A JPEG of an image as people look at it (ops.hpp, thumbnail).
[[nodiscard]] std::string jpeg_uri(const Image& image, int side, int quality);
/// A PNG file read, shrunk by whole factors to at most `side` pixels and encoded as JPEG; empty if it cannot be read.
[[nodiscard]] std::string jpeg_uri(const std::filesystem::path& png, int side, int quality);

}  // namespace frazil::report
