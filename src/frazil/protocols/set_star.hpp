// The RELION STAR file of a whole set: what a project keeps in star/ for other programs.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frazil/flow/kept_table.hpp"
#include "frazil/flow/set_table.hpp"

namespace frazil::protocols {

/// How the STAR table of a set of this kind is written: one optics group for each combination of optics and pixel size;
/// file names stand as in the records, relative to the project. Particles are gathered from the tables of their
/// micrographs. Depends on the records alone, in their order.
/// @return null for kinds that have their own STAR files (classes, volumes)
[[nodiscard]] std::unique_ptr<flow::TableFormat> star_format(const std::string& kind,
                                                             const std::filesystem::path& project);

/// The text of all records at once. @return nothing for kinds without
/// @throws Error as reading the particle tables does
[[nodiscard]] std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records,
                                                  const std::filesystem::path& project);

/// The tables that other programs go on with: micrographs that all filters have accepted (with their CTF where it is
/// known), those that are not kept with the reason, and the particles that came furthest.
[[nodiscard]] std::vector<flow::KeptTable> final_tables(const flow::Plan& plan);

}  // namespace frazil::protocols
