#include "frazil/bundle/cryosparc.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/npy.hpp"
#include "frazil/io/star_optics.hpp"

namespace frazil::bundle {
namespace {

constexpr double rad_per_deg = std::numbers::pi / 180;

/// A number that stays the same for the same text: cryoSPARC joins datasets by it.
std::uint64_t uid_of(std::string_view text) {
  const auto digits = hash_of({"uid", text}).substr(0, 16);
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

struct Size {
  int nx = 0, ny = 0;
};

/// Sizes of the images that a table names, each file looked at once.
class Sizes {
 public:
  explicit Sizes(std::filesystem::path root) : root_(std::move(root)) {}
  const Size& of(const std::string& file) {
    const auto [found, is_new] = known_.try_emplace(file);
    if (is_new && std::filesystem::exists(root_ / file)) {
      const auto info = io::read_info(root_ / file);
      found->second = {info.nx, info.ny};
    }
    return found->second;
  }

 private:
  std::filesystem::path root_;
  std::map<std::string, Size> known_;
};

/// Axis times angle of a rotation.
std::array<double, 3> rotation_vector(double rot_deg, double tilt_deg, double psi_deg) {
  const auto turn = [](double degrees, const Eigen::Vector3d& axis) {
    return Eigen::AngleAxisd(degrees * rad_per_deg, axis).toRotationMatrix();
  };
  // R_z(a) of the conventions is the rotation by −a about z; the same for y.
  const Eigen::Matrix3d a = turn(-psi_deg, Eigen::Vector3d::UnitZ()) * turn(-tilt_deg, Eigen::Vector3d::UnitY()) *
                            turn(-rot_deg, Eigen::Vector3d::UnitZ());
  const Eigen::AngleAxisd axis_angle{Eigen::Matrix3d(a.transpose())};
  const Eigen::Vector3d vector = axis_angle.axis() * axis_angle.angle();
  return {vector.x(), vector.y(), vector.z()};
}

std::string text_type(const io::StarTable& table, std::string_view label) {
  std::size_t longest = 1;
  if (table.has(label))
    for (std::size_t row = 0; row < table.rows(); ++row) longest = std::max(longest, table.text(row, label).size());
  return "|S" + std::to_string(longest);
}

void add_columns(io::NpyTable& cs, const io::StarTable& table) {
  cs.add_column("uid", "<u8");
  cs.add_column("blob/path", text_type(table, "rlnImageName"));
  cs.add_column("blob/idx", "<u4");
  cs.add_column("blob/shape", "<u4", 2);
  cs.add_column("blob/psize_A", "<f4");
  cs.add_column("blob/sign", "<f4");
  cs.add_column("ctf/type", "|S9");
  for (const auto* name : {"ctf/exp_group_id"}) cs.add_column(name, "<u4");
  for (const auto* name : {"ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast", "ctf/df1_A", "ctf/df2_A",
                           "ctf/df_angle_rad", "ctf/phase_shift_rad", "ctf/scale", "ctf/bfactor"})
    cs.add_column(name, "<f4");
  cs.add_column("location/micrograph_uid", "<u8");
  cs.add_column("location/micrograph_path", text_type(table, "rlnMicrographName"));
  cs.add_column("location/micrograph_shape", "<u4", 2);
  cs.add_column("location/center_x_frac", "<f4");
  cs.add_column("location/center_y_frac", "<f4");
  if (table.has("rlnClassNumber")) {
    cs.add_column("alignments2D/class", "<u4");
    cs.add_column("alignments2D/pose", "<f4");
    cs.add_column("alignments2D/shift", "<f4", 2);
    cs.add_column("alignments2D/psize_A", "<f4");
  }
  if (table.has("rlnAngleRot")) {
    cs.add_column("alignments3D/split", "<u4");
    cs.add_column("alignments3D/pose", "<f4", 3);
    cs.add_column("alignments3D/shift", "<f4", 2);
    cs.add_column("alignments3D/psize_A", "<f4");
  }
}

void set_ctf(io::NpyTable& cs, std::size_t row, const io::StarTable& table, const io::OpticsGroup& group) {
  cs.set(row, "ctf/type", "imported");
  cs.set(row, "ctf/exp_group_id", group.id);
  cs.set(row, "ctf/accel_kv", group.optics.voltage.value());
  cs.set(row, "ctf/cs_mm", group.optics.cs.value());
  cs.set(row, "ctf/amp_contrast", group.optics.amplitude_contrast);
  cs.set(row, "ctf/df1_A", table.number_or(row, "rlnDefocusU", 0));
  cs.set(row, "ctf/df2_A", table.number_or(row, "rlnDefocusV", 0));
  cs.set(row, "ctf/df_angle_rad", table.number_or(row, "rlnDefocusAngle", 0) * rad_per_deg);
  cs.set(row, "ctf/phase_shift_rad", table.number_or(row, "rlnPhaseShift", 0) * rad_per_deg);
  cs.set(row, "ctf/scale", table.number_or(row, "rlnCtfScalefactor", 1));
  cs.set(row, "ctf/bfactor", table.number_or(row, "rlnCtfBfactor", 0));
}

void set_location(io::NpyTable& cs, std::size_t row, const io::StarTable& table, Sizes& sizes) {
  if (!table.has("rlnMicrographName")) return;
  const std::string micrograph(table.text(row, "rlnMicrographName"));
  const auto& size = sizes.of(micrograph);
  cs.set(row, "location/micrograph_uid", uid_of(micrograph));
  cs.set(row, "location/micrograph_path", std::string_view(micrograph));
  cs.set(row, "location/micrograph_shape", size.ny, 0);
  cs.set(row, "location/micrograph_shape", size.nx, 1);
  if (size.nx == 0 || !table.has("rlnCoordinateX")) return;
  cs.set(row, "location/center_x_frac", table.number(row, "rlnCoordinateX") / size.nx);
  cs.set(row, "location/center_y_frac", table.number(row, "rlnCoordinateY") / size.ny);
}

void set_alignments(io::NpyTable& cs, std::size_t row, const io::StarTable& table, double pixel_A) {
  const double shift_x = table.number_or(row, "rlnOriginXAngst", 0) / pixel_A,
               shift_y = table.number_or(row, "rlnOriginYAngst", 0) / pixel_A;
  if (table.has("rlnClassNumber")) {
    cs.set(row, "alignments2D/class",
           static_cast<std::uint64_t>(std::max(0L, table.integer(row, "rlnClassNumber") - 1)));
    cs.set(row, "alignments2D/pose", -table.number_or(row, "rlnAnglePsi", 0) * rad_per_deg);
    cs.set(row, "alignments2D/shift", -shift_x, 0);
    cs.set(row, "alignments2D/shift", -shift_y, 1);
    cs.set(row, "alignments2D/psize_A", pixel_A);
  }
  if (!table.has("rlnAngleRot")) return;
  const auto pose = rotation_vector(table.number(row, "rlnAngleRot"), table.number_or(row, "rlnAngleTilt", 0),
                                    table.number_or(row, "rlnAnglePsi", 0));
  for (int i = 0; i < 3; ++i) cs.set(row, "alignments3D/pose", pose[static_cast<std::size_t>(i)], i);
  cs.set(row, "alignments3D/shift", shift_x, 0);
  cs.set(row, "alignments3D/shift", shift_y, 1);
  cs.set(row, "alignments3D/psize_A", pixel_A);
  cs.set(row, "alignments3D/split",
         static_cast<std::uint64_t>(at_least_zero(table.number_or(row, "rlnRandomSubset", 1) - 1)));
}

}  // namespace

std::string particles_cs(const io::StarFile& star, const std::filesystem::path& root) {
  const auto& table = star.table_with("rlnImageName");
  const auto optics = io::read_optics(star, table);
  Sizes sizes(root);
  io::NpyTable cs;
  add_columns(cs, table);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string image(table.text(row, "rlnImageName"));
    const auto reference = io::split_reference(image);
    const auto& group = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(row)));
    const auto& size = sizes.of(reference.file);
    (void)cs.add_row();
    cs.set(row, "uid", uid_of(image));
    cs.set(row, "blob/path", std::string_view(reference.file));
    cs.set(row, "blob/idx", reference.index);
    cs.set(row, "blob/shape", size.ny, 0);
    cs.set(row, "blob/shape", size.nx, 1);
    cs.set(row, "blob/psize_A", group.pixel_size().value());
    cs.set(row, "blob/sign", 1.0);
    set_ctf(cs, row, table, group);
    set_location(cs, row, table, sizes);
    set_alignments(cs, row, table, group.pixel_size() > 0_A ? group.pixel_size().value() : 1);
  }
  return cs.bytes();
}

}  // namespace frazil::bundle
