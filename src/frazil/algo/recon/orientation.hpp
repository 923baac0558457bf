// Orientations: RELION's ZYZ angles, rotation matrices, random and even sampling.
#pragma once

#include <Eigen/Dense>
#include <vector>

#include "frazil/base/random.hpp"
#include "frazil/base/units.hpp"

namespace frazil::recon {

using Matrix3 = Eigen::Matrix3d;
using Vector3 = Eigen::Vector3d;

/// Euler angles as STAR files hold them (conventions.md, "Orientations").
struct Orientation {
  Degrees rot{}, tilt{}, psi{};
};

/// A = R_z(psi) R_y(tilt) R_z(rot): a voxel at r from the centre lands at (A r)_x, (A r)_y in the projection.
/// The third row of A is the viewing direction in the frame of the volume.
[[nodiscard]] Matrix3 rotation(const Orientation& orientation);
/// Inverse of rotation(): tilt in [0, 180], rot and psi in (−180, 180]; rot = 0 where only rot ± psi is defined.
[[nodiscard]] Orientation orientation(const Matrix3& rotation);
/// Angle of the rotation that turns a into b, [0, 180].
[[nodiscard]] Degrees angle_between(const Matrix3& a, const Matrix3& b);
/// Rotation by `angle` about `axis` (any length but zero), right-handed.
[[nodiscard]] Matrix3 about_axis(const Vector3& axis, Degrees angle);
/// Uniform over all rotations (Shoemake 1992, "Uniform random rotations").
[[nodiscard]] Matrix3 random_rotation(Rng& rng);

/// Directions spread evenly over the sphere, about `step` apart (golden-angle spiral).
[[nodiscard]] std::vector<Vector3> even_directions(Degrees step);
/// The rotation with viewing direction `direction` and in-plane angle psi.
[[nodiscard]] Matrix3 looking_along(const Vector3& direction, Degrees psi);

}  // namespace frazil::recon
