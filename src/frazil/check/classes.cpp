#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "frazil/base/statistics.hpp"
#include "frazil/check/checks.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"

namespace frazil::check {

std::vector<int> match(const std::vector<TrueParticle>& particles, const std::vector<std::array<double, 2>>& picks,
                       double radius_px);

namespace {

using Group = std::vector<std::array<Vector3, 3>>;

double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// The mate of `d` under the group that lies nearest to `reference`.
Vector3 nearest_mate(const Group& group, const Vector3& d, const Vector3& reference) {
  Vector3 best = d;
  double most = -2;
  for (const auto& g : group) {
    const Vector3 mate{dot(g[0], d), dot(g[1], d), dot(g[2], d)};
    if (const double c = dot(mate, reference); c > most) most = c, best = mate;
  }
  return best;
}

double angle_deg(const Vector3& a, const Vector3& b) {
  return std::acos(std::clamp(dot(a, b), -1.0, 1.0)) * 180 / std::numbers::pi;
}

/// Angles of the members to their mean direction modulo the group; the mean is the best of several starts, each
/// iterated to rest.
std::vector<double> spread(const Group& group, const std::vector<Vector3>& members) {
  std::vector<double> best;
  const std::size_t starts = std::min<std::size_t>(12, members.size());
  for (std::size_t s = 0; s < starts; ++s) {
    Vector3 mean = members[s * members.size() / starts];
    for (int round = 0; round < 10; ++round) {
      Vector3 sum{};
      for (const auto& d : members) {
        const auto mate = nearest_mate(group, d, mean);
        for (std::size_t c = 0; c < 3; ++c) sum[c] += mate[c];
      }
      const double length = std::sqrt(dot(sum, sum));
      if (length < 1e-9) break;
      for (std::size_t c = 0; c < 3; ++c) mean[c] = sum[c] / length;
    }
    std::vector<double> angles;
    for (const auto& d : members) angles.push_back(angle_deg(nearest_mate(group, d, mean), mean));
    if (best.empty() || median(angles) < median(best)) best = std::move(angles);
  }
  return best;
}

struct Member {
  long class_number = 0;
  TrueParticle particle;  ///< specimen −1: junk
};

std::vector<Member> members_by_index(const Truth& truth, const io::StarTable& table) {
  std::vector<Member> members;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto reference = io::split_reference(std::string(table.text(row, "rlnImageName")));
    if (static_cast<std::size_t>(reference.index) >= truth.stack.size())
      throw Error(ErrorCode::bad_input, "{}: the scene has {} images", table.place(row), truth.stack.size());
    members.push_back({table.integer(row, "rlnClassNumber"), truth.stack[static_cast<std::size_t>(reference.index)]});
  }
  return members;
}

std::vector<Member> members_by_place(const Truth& truth, const io::StarFile& star, const io::StarTable& table) {
  double scale = 1;
  if (const auto* optics = star.find_table("optics"); optics != nullptr && optics->rows() > 0) {
    const auto groups = io::parse_optics(*optics);
    const auto pixel =
        groups[0].micrograph_pixel_size.value() > 0 ? groups[0].micrograph_pixel_size : groups[0].original_pixel_size;
    if (pixel.value() > 0) scale = pixel.value() / truth.pixel_size_A;
  }
  std::map<const TrueArea*, std::vector<std::size_t>> rows;
  for (std::size_t row = 0; row < table.rows(); ++row)
    if (const auto* area = truth.find_area(std::string(table.text(row, "rlnMicrographName"))); area != nullptr)
      rows[area].push_back(row);
  std::vector<Member> members;
  for (const auto& [area, list] : rows) {
    std::vector<std::array<double, 2>> places;
    for (const auto row : list)
      places.push_back({table.number(row, "rlnCoordinateX") * scale, table.number(row, "rlnCoordinateY") * scale});
    const auto hit = match(area->particles, places, 0.3 * truth.diameter_px());
    for (std::size_t i = 0; i < list.size(); ++i)
      members.push_back({table.integer(list[i], "rlnClassNumber"),
                         hit[i] < 0 ? TrueParticle{} : area->particles[static_cast<std::size_t>(hit[i])]});
  }
  return members;
}

/// Median angle over all particles of `specimen`, each against its own class.
double median_spread(const Group& group, const std::vector<Member>& members, int specimen) {
  std::map<long, std::vector<Vector3>> classes;
  for (const auto& m : members)
    if (m.particle.specimen == specimen && m.class_number > 0)
      classes[m.class_number].push_back(view_direction(m.particle.rot_deg, m.particle.tilt_deg));
  std::vector<double> all;
  for (const auto& [number, directions] : classes) {
    if (directions.size() < 3) continue;  // a class of one or two is its own mean
    const auto angles = spread(group, directions);
    all.insert(all.end(), angles.begin(), angles.end());
  }
  return median(std::move(all));
}

std::vector<Member> shuffled(std::vector<Member> members, Rng rng) {
  for (std::size_t i = members.size(); i > 1; --i)
    std::swap(members[i - 1].class_number, members[rng.below(i)].class_number);
  return members;
}

}  // namespace

Json check_classes(const Truth& truth, const std::filesystem::path& path, const std::string& symmetry) {
  const auto star = io::read_star(path);
  const auto& table = star.table_with("rlnClassNumber");
  const auto members = truth.stack.empty() ? members_by_place(truth, star, table) : members_by_index(truth, table);
  std::map<long, std::map<int, std::size_t>> classes;  // class → specimen (−1 junk) → count
  for (const auto& m : members)
    if (m.class_number > 0) ++classes[m.class_number][m.particle.specimen];
  std::size_t pure = 0, total = 0, junk = 0;
  double foreign = 0;
  for (const auto& [number, counts] : classes) {
    std::size_t all = 0, of_junk = 0, largest = 0;
    for (const auto& [specimen, count] : counts) {
      all += count;
      if (specimen < 0)
        of_junk = count;
      else
        largest = std::max(largest, count);
    }
    pure += std::max(of_junk, all - of_junk), total += all, junk += of_junk;
    if (all - of_junk > 0 && static_cast<double>(all) > 0.05 * static_cast<double>(members.size()))
      foreign = std::max(foreign, 1 - static_cast<double>(largest) / static_cast<double>(all - of_junk));
  }
  const auto group = point_group(symmetry);
  const double angle = median_spread(group, members, 0), random = median_spread(group, shuffled(members, Rng(1)), 0);
  return {{"particles", total},
          {"classes", classes.size()},
          {"junk_share", total > 0 ? static_cast<double>(junk) / static_cast<double>(total) : 0},
          {"purity", total > 0 ? static_cast<double>(pure) / static_cast<double>(total) : 0},
          {"largest_foreign_share", foreign},
          {"median_angle_deg", angle},
          {"median_angle_random_deg", random},
          {"angle_ratio", random > 0 ? angle / random : 0}};
}

}  // namespace frazil::check
