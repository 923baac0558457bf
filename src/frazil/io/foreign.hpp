// Names of well-known formats that frazil meets but does not read as images.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace frazil::io {

/// "HDF5", "gzip", … by the first bytes; empty for everything else.
[[nodiscard]] std::string_view foreign_format(std::span<const std::byte> head);

}  // namespace frazil::io
