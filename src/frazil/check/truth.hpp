// The truth of a simulated scene as `frazil simulate` wrote it, and how results find their area or particle in it.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::check {

using Vector3 = std::array<double, 3>;

struct TrueParticle {
  double x_px = 0, y_px = 0;
  int specimen = -1;  ///< −1: no whole particle
  double rot_deg = 0, tilt_deg = 0, psi_deg = 0;
};

/// A displacement on a grid, per frame, as the shift that undoes it.
struct Field {
  std::vector<double> x_px, y_px;
  std::vector<std::vector<std::vector<std::array<double, 2>>>> shift_px;  ///< [frame][y][x]
  /// Bilinear between the nodes, constant beyond them.
  [[nodiscard]] std::array<double, 2> at(int frame, double x, double y) const;
};

struct TrueArea {
  std::string name, file;
  double defocus_u_A = 0, defocus_v_A = 0, astigmatism_angle_deg = 0;
  std::vector<std::array<double, 2>> shifts_px;
  std::optional<Field> field;
  std::vector<TrueParticle> particles;
};

struct TrueSpecimen {
  std::string name;
  std::filesystem::path map;
  double diameter_A = 0;
};

struct Truth {
  int nx = 0, ny = 0;
  double pixel_size_A = 1;
  std::vector<TrueSpecimen> specimens;
  std::vector<TrueArea> areas;
  std::vector<TrueParticle> stack;  ///< of a particle scene: image i of particles.mrcs

  /// The area whose name stands in the file's name; the longest such name wins.
  [[nodiscard]] const TrueArea* find_area(const std::string& path) const;
  [[nodiscard]] double diameter_px() const;
};

/// @param folder  holds truth.json. @throws Error(not_found|corrupt)
[[nodiscard]] Truth read_truth(const std::filesystem::path& folder);
[[nodiscard]] Field read_field(const Json& json);

/// Third row of RELION's rotation: the direction of view in the frame of the specimen.
[[nodiscard]] Vector3 view_direction(double rot_deg, double tilt_deg);
/// Rotations of a point group by name: cN, dN (two-fold about x), t, o. @throws Error(bad_input)
[[nodiscard]] std::vector<std::array<Vector3, 3>> point_group(const std::string& name);

}  // namespace frazil::check
