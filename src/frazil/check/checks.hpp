// Comparisons of results with the truth of a simulated scene; each gives an object of numbers, units in the keys.
#pragma once

#include "frazil/base/random.hpp"
#include "frazil/check/truth.hpp"

namespace frazil::check {

/// RMS error of the frame shifts of RELION motion STAR files (tables global_shift), mean offset of each movie removed.
/// Keys: movies, frames, rms_px (length of the vector), rms_axis_px, worst_movie_rms_px, worst_movie.
[[nodiscard]] Json check_motion(const Truth& truth, const std::vector<std::filesystem::path>& files);
/// The same for whole displacement fields (JSON files of align-movie), over all nodes, with one mean offset a node
/// removed.
[[nodiscard]] Json check_fields(const Truth& truth, const std::vector<std::filesystem::path>& files);

/// RMS errors of mean defocus and of the astigmatism vector (U − V) (cos 2α, sin 2α) from STAR files with
/// rlnDefocusU/V/Angle; the first row of each micrograph counts.
[[nodiscard]] Json check_ctf(const Truth& truth, const std::vector<std::filesystem::path>& files);

struct PickOptions {
  double radius = 0.3;  ///< a pick is right within this many diameters of a particle
  double border = 0.5;  ///< diameters from the edge that are left out
};
/// Precision, recall and F1 of coordinates in STAR files, one-to-one, nearest pairs first, micrographs pooled.
/// Micrographs without a file or row are not counted.
[[nodiscard]] Json check_picks(const Truth& truth, const std::vector<std::filesystem::path>& files,
                               const PickOptions& options);

/// 2D classes of a particles STAR file with rlnClassNumber: purity (share of the particles that are what most of their
/// class is, particle or junk), largest share of a foreign specimen in classes above 5 % of the data, median angle of
/// members to their class's mean direction modulo symmetry, the same for a random partition with equal counts, and
/// their ratio.
[[nodiscard]] Json check_classes(const Truth& truth, const std::filesystem::path& star, const std::string& symmetry);

/// FSC of a map with the truth map of `specimen` after alignment over rotation, hand and shift; both inside a soft
/// ball. Keys: fsc_half_A, fsc_0143_A (resolutions), correlation, hand ("same", "mirrored"), k_per_A, fsc.
[[nodiscard]] Json check_volume(const Truth& truth, const std::filesystem::path& map, int specimen);
/// The same for volumes in memory; `diameter_A` sets the ball.
[[nodiscard]] Json compare_volumes(const Volume& found, const Volume& truth, double diameter_A);

}  // namespace frazil::check
