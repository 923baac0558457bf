// The RELION STAR file of a whole set: what a project keeps in star/ for other programs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "frazil/flow/kept_table.hpp"

namespace frazil::protocols {

/// STAR text of all records of one set, with one optics group for each combination of optics and pixel size; file names
/// stand as in the records, relative to the project. Particles are gathered from the tables of their micrographs.
/// Depends on the records alone, in their order.
/// @return nothing for kinds that have their own STAR files (classes, volumes)
/// @throws Error as reading the particle tables does
[[nodiscard]] std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records,
                                                  const std::filesystem::path& project);

/// The tables that other programs go on with: micrographs that all filters have accepted (with their CTF where it is
/// known), those that are not kept with the reason, and the particles that came furthest.
[[nodiscard]] std::vector<flow::KeptTable> final_tables(const flow::Plan& plan);

}  // namespace frazil::protocols
