// The RELION STAR file of a whole set: what a project keeps in star/ for other programs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil::protocols {

/// STAR text of all records of one set, with one optics group for each combination of optics and pixel size; file names
/// stand as in the records, relative to the project. Particles are gathered from the tables of their micrographs.
/// Depends on the records alone, in their order.
/// @return nothing for kinds that have their own STAR files (classes, volumes)
/// @throws Error as reading the particle tables does
[[nodiscard]] std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records,
                                                  const std::filesystem::path& project);

}  // namespace frazil::protocols
