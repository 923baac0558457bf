// Which particles a computation over all of them can use; the others are left out, counted and named.
#pragma once

#include "frazil/protocols/particle_files.hpp"

namespace frazil::protocols {

/// Particles that were left out, a reason and a number each.
struct LeftOut {
  std::vector<std::string> reasons;
  std::vector<int> counts;
};

/// Removes the rows whose image is not finite or flat (image/sound.hpp), or whose CTF or origin is not finite: one of
/// them would spoil every average it has a share in. Reads all images once. The rows that stay follow from the files
/// alone, so that versions of a growing set agree on them.
/// @throws Error(bad_input) when no row is left
[[nodiscard]] LeftOut keep_usable(ParticleFiles& files, const flow::Context& context);

}  // namespace frazil::protocols
