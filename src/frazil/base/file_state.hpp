// What changes whenever the content of a file does, told without reading it.
#pragma once

#include <filesystem>
#include <string>

namespace frazil {

/// Device, number, size and times of the file behind the name, as a text. A file that is rewritten or replaced under
/// its name has another one; so, rarely, has one that was only moved or touched. @throws Error(not_found)
[[nodiscard]] std::string file_state(const std::filesystem::path& path);

}  // namespace frazil
