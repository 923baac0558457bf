// What a plugin gives back is held against what it wrote: sizes, counts, positions inside their image.
#pragma once

#include <filesystem>

#include "frazil/flow/protocol.hpp"

namespace frazil::plugin {

/// Fills in what the files themselves say (nx, ny, box, count, pixel_size) where the record is silent, and compares
/// where it is not. Files of the record are relative to `folder`. @throws Error(external) naming what differs
[[nodiscard]] Json complete(std::string_view kind, Json record, const std::filesystem::path& folder);

/// All positions lie inside an image of this size. @throws Error(external) with the first that does not
void check_inside(const std::filesystem::path& coordinates, int nx, int ny);

}  // namespace frazil::plugin
