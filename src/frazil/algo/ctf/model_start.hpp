// The second estimator's own start: the defocus of each sector apart, joined by a cosine.
#pragma once

#include "frazil/algo/ctf/rings.hpp"
#include "frazil/algo/ctf/sectors.hpp"

namespace frazil::ctf {

/// Guesses of defocus and astigmatism from the sectors of `excess` (power over a smooth background minus one, shell ×
/// sector). In every sector the phase-true response Σ w y cos(2χ − …) is computed at all defoci; sectors are summed
/// with each at its own best defocus near a common one, and the defoci so picked are fitted by Δf + ½(C cos 2α + S sin
/// 2α), repeatedly, in a narrowing window (sector-wise estimation: Mastronarde 2024, doi:10.1016/j.jsb.2023.108057).
/// @return at most `count` guesses, best first
[[nodiscard]] std::vector<Shape> sector_guesses(const SectorTable& table, const Eigen::ArrayXXd& excess,
                                                const Waves& waves, const FitParams& params, std::size_t count);

}  // namespace frazil::ctf
