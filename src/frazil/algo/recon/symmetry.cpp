#include "frazil/algo/recon/symmetry.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string>

#include "frazil/base/error.hpp"

namespace frazil::recon {
namespace {

constexpr double golden = 1.6180339887498949;  // (1 + √5) / 2: an icosahedron's corners are (0, 1, golden) turned

/// Order n of "c7" or "d2"; 0 when what follows the letter is no number in 1 … 200.
int order_of(std::string_view digits) {
  int n = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  return failed == std::errc() && end == digits.data() + digits.size() && n >= 1 && n <= 200 ? n : 0;
}

/// Generators of the group; empty when there is no such name.
std::vector<Matrix3> generators(const std::string& name) {
  const Vector3 x(1, 0, 0), z(0, 0, 1);
  if (name == "t") return {about_axis(z, 120_deg), about_axis({0, std::sqrt(2.0), 1}, 180_deg)};
  if (name == "o") return {about_axis({1, 1, 1}, 120_deg), about_axis(z, 90_deg)};
  if (name == "i" || name == "i1")
    return {about_axis(x, 180_deg), about_axis({golden, 0, -1}, 72_deg), about_axis({golden * golden, 1, 0}, 120_deg)};
  if (name == "i2")
    return {about_axis(z, 180_deg), about_axis({1, 0, golden}, 72_deg), about_axis({0, 1, golden * golden}, 120_deg)};
  const int n = name.empty() ? 0 : order_of(std::string_view(name).substr(1));
  if (n == 0 || (name[0] != 'c' && name[0] != 'd')) return {};
  std::vector<Matrix3> list{about_axis(z, 360_deg / n)};
  if (name[0] == 'd') list.push_back(about_axis(x, 180_deg));
  return list;
}

bool contains(const std::vector<Matrix3>& group, const Matrix3& m) {
  return std::any_of(group.begin(), group.end(), [&](const Matrix3& g) { return (g - m).norm() < 1e-6; });
}

}  // namespace

std::vector<Matrix3> symmetry_operators(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto seeds = generators(lower);
  if (seeds.empty())
    throw Error(ErrorCode::bad_input, "symmetry \"{}\" is not known: expected c1, c2, …, d1, d2, …, t, o, i, i1 or i2",
                name);
  std::vector<Matrix3> group{Matrix3::Identity()};
  for (std::size_t i = 0; i < group.size(); ++i)
    for (const auto& seed : seeds)
      if (const Matrix3 product = group[i] * seed; !contains(group, product)) group.push_back(product);
  return group;
}

bool in_asymmetric_unit(const Vector3& direction, const std::vector<Matrix3>& operators, const Vector3& anchor) {
  const double own = direction.dot(anchor);
  return std::none_of(operators.begin(), operators.end(),
                      [&](const Matrix3& g) { return (g.transpose() * direction).dot(anchor) > own + 1e-9; });
}

Degrees angle_between(const Matrix3& a, const Matrix3& b, const std::vector<Matrix3>& operators) {
  Degrees best = 360_deg;
  for (const auto& g : operators) best = std::min(best, angle_between(a, b * g));
  return best;
}

}  // namespace frazil::recon
