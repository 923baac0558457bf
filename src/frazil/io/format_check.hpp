// Which file formats work on this machine: each is written, read back and compared.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace frazil::io {

struct FormatCheck {
  std::string format;  ///< "MRC mode 6", "TIFF LZW 8-bit unsigned", …
  bool works = false;
  std::string detail;  ///< why not, empty when it works
};

/// Writes one small file of each format into `folder` (which must exist), reads it back, compares every pixel and
/// removes it.
[[nodiscard]] std::vector<FormatCheck> check_formats(const std::filesystem::path& folder);

}  // namespace frazil::io
