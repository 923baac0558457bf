// Finds the rotation, shift and hand that lay one map onto another.
#pragma once

#include "frazil/algo/recon/orientation.hpp"
#include "frazil/image/image.hpp"

namespace frazil::recon {

struct AlignParams {
  Angstrom coarse_resolution = 30_A;  ///< limit of the exhaustive search
  Angstrom resolution = 15_A;         ///< limit of the refinement and of the correlation
  Degrees step = 15_deg;              ///< of the exhaustive search
  int candidates = 12;                ///< that are refined
  bool both_hands = true;             ///< also try the mirror image of the moving map
  int threads = 1;
};

struct Alignment {
  bool mirrored = false;  ///< the moving map was mirrored (mirror()) before it was turned
  Matrix3 rotation = Matrix3::Identity();
  Vector3 shift_px = Vector3::Zero();
  double correlation = 0;  ///< of the two maps in Fourier space up to `resolution`, zero frequency left out
};

/// Exhaustive search over rotations (all translations at once by FFT), then descent from the best few.
/// aligned = rotate(mirrored ? mirror(moving) : moving, rotation, shift_px, …) lies on `reference`.
/// Both maps are cubes of one box and voxel size. Cost at 64³ about 10 s per hand on one core.
[[nodiscard]] Alignment align_volumes(const Volume& reference, const Volume& moving, const AlignParams& params = {});
/// The moving map laid on the reference.
[[nodiscard]] Volume apply(const Alignment& alignment, const Volume& moving);

}  // namespace frazil::recon
