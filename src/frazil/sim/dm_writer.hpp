// Small DM4 files for tests and checks of the reader, written after public descriptions of the format; shares no code
// with the reader.
#pragma once

#include <string>

#include "frazil/image/image.hpp"

namespace frazil::sim {

/// Bytes of a DM4 (or DM3) file with a thumbnail and one image of 32-bit floats; the image's last row stands first, as
/// the programs that write DM files put the top of a picture first.
[[nodiscard]] std::string dm_file(const Image& image, int version = 4);

}  // namespace frazil::sim
