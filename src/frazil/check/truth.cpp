#include "frazil/check/truth.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/files.hpp"

namespace frazil::check {
namespace {

using Matrix = std::array<Vector3, 3>;
using std::numbers::pi;

TrueParticle read_particle(const Json& json) {
  TrueParticle p;
  p.x_px = json.value("x_px", 0.0), p.y_px = json.value("y_px", 0.0);
  p.specimen = json.value("specimen", -1);
  p.rot_deg = json.value("rot_deg", 0.0), p.tilt_deg = json.value("tilt_deg", 0.0),
  p.psi_deg = json.value("psi_deg", 0.0);
  return p;
}

TrueArea read_area(const Json& json) {
  TrueArea area;
  area.name = json.at("name"), area.file = json.at("file");
  area.defocus_u_A = json.at("defocus_u_A"), area.defocus_v_A = json.at("defocus_v_A"),
  area.astigmatism_angle_deg = json.at("astigmatism_angle_deg");
  if (json.contains("shifts_px")) area.shifts_px = json.at("shifts_px").get<std::vector<std::array<double, 2>>>();
  if (json.contains("motion_field")) area.field = read_field(json.at("motion_field"));
  for (const auto& p : json.at("particles")) area.particles.push_back(read_particle(p));
  return area;
}

Matrix multiply(const Matrix& a, const Matrix& b) {
  Matrix c{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 3; ++k) c[i][j] += a[i][k] * b[k][j];
  return c;
}

Matrix about(Vector3 axis, double angle_rad) {
  const double n = std::sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);
  for (auto& v : axis) v /= n;
  const double c = std::cos(angle_rad), s = std::sin(angle_rad), t = 1 - c;
  const auto [x, y, z] = axis;
  return {{{t * x * x + c, t * x * y - s * z, t * x * z + s * y},
           {t * x * y + s * z, t * y * y + c, t * y * z - s * x},
           {t * x * z - s * y, t * y * z + s * x, t * z * z + c}}};
}

bool same(const Matrix& a, const Matrix& b) {
  double worst = 0;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) worst = std::max(worst, std::abs(a[i][j] - b[i][j]));
  return worst < 1e-6;
}

/// All products of the generators.
std::vector<Matrix> close(const std::vector<Matrix>& generators) {
  std::vector<Matrix> group{Matrix{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}};
  for (std::size_t i = 0; i < group.size(); ++i)
    for (const auto& g : generators) {
      const auto candidate = multiply(group[i], g);
      if (std::none_of(group.begin(), group.end(), [&](const Matrix& m) { return same(m, candidate); }))
        group.push_back(candidate);
    }
  return group;
}

}  // namespace

std::array<double, 2> Field::at(int frame, double x, double y) const {
  const auto place = [](const std::vector<double>& nodes, double value) {
    if (nodes.size() < 2) return std::pair<std::size_t, double>{0, 0.0};
    const auto upper = std::clamp<std::ptrdiff_t>(std::upper_bound(nodes.begin(), nodes.end(), value) - nodes.begin(),
                                                  1, std::ssize(nodes) - 1);
    const auto i = static_cast<std::size_t>(upper - 1);
    return std::pair{i, std::clamp((value - nodes[i]) / (nodes[i + 1] - nodes[i]), 0.0, 1.0)};
  };
  const auto [ix, fx] = place(x_px, x);
  const auto [iy, fy] = place(y_px, y);
  const auto& grid = shift_px.at(static_cast<std::size_t>(frame));
  const std::size_t jx = std::min(ix + 1, x_px.size() - 1), jy = std::min(iy + 1, y_px.size() - 1);
  std::array<double, 2> value{};
  for (std::size_t c = 0; c < 2; ++c)
    value[c] = (1 - fy) * ((1 - fx) * grid[iy][ix][c] + fx * grid[iy][jx][c]) +
               fy * ((1 - fx) * grid[jy][ix][c] + fx * grid[jy][jx][c]);
  return value;
}

Field read_field(const Json& json) {
  Field field;
  field.x_px = json.at("x_px").get<std::vector<double>>();
  field.y_px = json.at("y_px").get<std::vector<double>>();
  field.shift_px = json.at("shift_px").get<decltype(field.shift_px)>();
  return field;
}

Truth read_truth(const std::filesystem::path& folder) {
  const auto path = folder / "truth.json";
  try {
    const auto json = Json::parse(read_text(path));
    Truth truth;
    truth.nx = json.at("nx"), truth.ny = json.at("ny"), truth.pixel_size_A = json.at("pixel_size_A");
    for (const auto& s : json.at("specimens"))
      truth.specimens.push_back({s.at("name"), folder / s.at("map").get<std::string>(), s.at("diameter_A")});
    if (json.contains("areas"))
      for (const auto& a : json.at("areas")) truth.areas.push_back(read_area(a));
    if (json.contains("particles"))
      for (const auto& p : json.at("particles")) truth.stack.push_back(read_particle(p));
    return truth;
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::corrupt, "{}: not the truth of a simulated scene: {}", path.string(), problem.what());
  }
}

const TrueArea* Truth::find_area(const std::string& path) const {
  const auto name = std::filesystem::path(path).filename().string();
  const TrueArea* best = nullptr;
  for (const auto& area : areas)
    if (name.find(area.name) != std::string::npos && (best == nullptr || area.name.size() > best->name.size()))
      best = &area;
  return best;
}

double Truth::diameter_px() const {
  double largest = 0;
  for (const auto& s : specimens) largest = std::max(largest, s.diameter_A / pixel_size_A);
  return largest;
}

Vector3 view_direction(double rot_deg, double tilt_deg) {
  const double rot = rot_deg * pi / 180, tilt = tilt_deg * pi / 180;
  return {std::sin(tilt) * std::cos(rot), std::sin(tilt) * std::sin(rot), std::cos(tilt)};
}

std::vector<std::array<Vector3, 3>> point_group(const std::string& name) {
  const char kind = name.empty() ? '?' : static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
  const bool counted =
      name.size() > 1 && std::all_of(name.begin() + 1, name.end(), [](char c) { return c >= '0' && c <= '9'; });
  const int n = counted ? std::stoi(name.substr(1)) : 0;
  const Vector3 x{1, 0, 0}, z{0, 0, 1}, diagonal{1, 1, 1};
  if (kind == 'c' && n > 0) return close({about(z, 2 * pi / n)});
  if (kind == 'd' && n > 0) return close({about(z, 2 * pi / n), about(x, pi)});
  if (kind == 't' && name.size() == 1) return close({about(z, pi), about(diagonal, 2 * pi / 3)});
  if (kind == 'o' && name.size() == 1) return close({about(z, pi / 2), about(diagonal, 2 * pi / 3)});
  throw Error(ErrorCode::bad_input, "symmetry {} is not one of cN, dN, t, o", name);
}

}  // namespace frazil::check
