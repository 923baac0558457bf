// Point groups of particles: cn, dn, t, o, i (i1), and the pose space that is left after them.
#pragma once

#include <string_view>
#include <vector>

#include "frazil/algo/recon/orientation.hpp"

namespace frazil::recon {

/// All rotations of the group, identity first, axes as in conventions.md ("Symmetry axes"). Names are taken in either
/// case: "c1", "C4", "d2", "t", "o", "i", "i1", "i2".
/// @throws Error(bad_input) for any other name
[[nodiscard]] std::vector<Matrix3> symmetry_operators(std::string_view name);

/// True when `direction` is the member of its orbit that lies nearest to `anchor`: keeps one in `operators.size()`
/// directions. An anchor on no symmetry axis makes the choice unique.
[[nodiscard]] bool in_asymmetric_unit(const Vector3& direction, const std::vector<Matrix3>& operators,
                                      const Vector3& anchor);

/// Smallest angle between pose a and any symmetry mate of pose b.
[[nodiscard]] Degrees angle_between(const Matrix3& a, const Matrix3& b, const std::vector<Matrix3>& operators);

}  // namespace frazil::recon
