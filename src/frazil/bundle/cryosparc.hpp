// Particle tables as cryoSPARC datasets (.cs), made from the STAR tables that other programs get.
#pragma once

#include <filesystem>
#include <string>

#include "frazil/io/star.hpp"

namespace frazil::bundle {

/// Bytes of a .cs file with the columns uid, blob/*, ctf/*, location/* and, where the table has them, alignments2D/*
/// and alignments3D/*. Paths stay as the table has them (relative to the bundle); `root` is where they are found now,
/// to read sizes. Conventions: blob/idx counts from 0; angles in radians; alignments3D/pose is the axis-angle vector of
/// RELION's A (docs/conventions.md, "Orientations") transposed; shifts in pixels of the particle image, with RELION's
/// sign in 3D and the opposite one in 2D; location/center_*_frac is a fraction of the micrograph's side.
/// @throws Error(bad_input) when the table names no images
[[nodiscard]] std::string particles_cs(const io::StarFile& star, const std::filesystem::path& root);

}  // namespace frazil::bundle
