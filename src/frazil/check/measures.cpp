#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "frazil/base/files.hpp"
#include "frazil/check/checks.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"

namespace frazil::check {
namespace {

using Shifts = std::vector<std::array<double, 2>>;

/// Sum of squared vector differences after taking off their mean.
double squared_error(const Shifts& a, const Shifts& b) {
  const std::size_t n = std::min(a.size(), b.size());
  double mx = 0, my = 0, sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    mx += (a[i][0] - b[i][0]) / static_cast<double>(n), my += (a[i][1] - b[i][1]) / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) sum += std::pow(a[i][0] - b[i][0] - mx, 2) + std::pow(a[i][1] - b[i][1] - my, 2);
  return sum;
}

/// Frames of the table by their number (from 1), matched to the true frames.
std::pair<Shifts, Shifts> read_shifts(const io::StarTable& table, const TrueArea& area) {
  std::pair<Shifts, Shifts> pair;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto frame = static_cast<std::size_t>(table.integer(row, "rlnMicrographFrameNumber") - 1);
    if (frame >= area.shifts_px.size()) continue;
    pair.first.push_back({table.number(row, "rlnMicrographShiftX"), table.number(row, "rlnMicrographShiftY")});
    pair.second.push_back(area.shifts_px[frame]);
  }
  return pair;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

struct Pick {
  double x_px, y_px;
};

/// Coordinates by area, in pixels of the truth.
std::map<const TrueArea*, std::vector<Pick>> read_picks(const Truth& truth,
                                                        const std::vector<std::filesystem::path>& files) {
  std::map<const TrueArea*, std::vector<Pick>> picks;
  for (const auto& path : files) {
    const auto star = io::read_star(path);
    const auto* by_file = truth.find_area(path.string());
    for (const auto& table : star.tables) {
      if (!table.has("rlnCoordinateX")) continue;
      double scale = 1;
      if (const auto* optics = star.find_table("optics"); optics != nullptr && optics->rows() > 0) {
        const auto groups = io::parse_optics(*optics);
        const auto micrograph_A = groups[0].micrograph_pixel_size.value() > 0 ? groups[0].micrograph_pixel_size
                                                                              : groups[0].original_pixel_size;
        if (micrograph_A.value() > 0) scale = micrograph_A.value() / truth.pixel_size_A;
      }
      if (by_file != nullptr) picks[by_file];  // a file without rows still says that nothing was found
      for (std::size_t row = 0; row < table.rows(); ++row) {
        const auto* area = table.has("rlnMicrographName")
                               ? truth.find_area(std::string(table.text(row, "rlnMicrographName")))
                               : by_file;
        if (area != nullptr)
          picks[area].push_back(
              {table.number(row, "rlnCoordinateX") * scale, table.number(row, "rlnCoordinateY") * scale});
      }
    }
  }
  return picks;
}

}  // namespace

/// Index of the particle that each pick hits, −1 for none: one-to-one, nearest pairs first.
std::vector<int> match(const std::vector<TrueParticle>& particles, const std::vector<std::array<double, 2>>& picks,
                       double radius_px) {
  struct Pair {
    double distance;
    std::size_t pick, particle;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < picks.size(); ++i)
    for (std::size_t j = 0; j < particles.size(); ++j)
      if (const double d = std::hypot(picks[i][0] - particles[j].x_px, picks[i][1] - particles[j].y_px); d <= radius_px)
        pairs.push_back({d, i, j});
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.distance < b.distance; });
  std::vector<int> hit(picks.size(), -1);
  std::vector<bool> taken(particles.size());
  for (const auto& p : pairs)
    if (hit[p.pick] < 0 && !taken[p.particle]) hit[p.pick] = static_cast<int>(p.particle), taken[p.particle] = true;
  return hit;
}

Json check_motion(const Truth& truth, const std::vector<std::filesystem::path>& files) {
  double sum = 0, worst = 0;
  std::size_t movies = 0, frames = 0;
  std::string worst_movie;
  for (const auto& path : files) {
    const auto* area = truth.find_area(path.string());
    const auto star = io::read_star(path);
    const auto* table = star.find_table("global_shift");
    if (area == nullptr || table == nullptr) continue;
    const auto [found, expected] = read_shifts(*table, *area);
    if (found.empty()) continue;
    const double error = squared_error(found, expected), rms = std::sqrt(error / static_cast<double>(found.size()));
    sum += error, frames += found.size(), ++movies;
    if (rms > worst) worst = rms, worst_movie = area->name;
  }
  const double rms = std::sqrt(ratio(sum, static_cast<double>(frames)));
  return {{"movies", movies},
          {"frames", frames},
          {"rms_px", rms},
          {"rms_axis_px", rms / std::numbers::sqrt2},
          {"worst_movie_rms_px", worst},
          {"worst_movie", worst_movie}};
}

Json check_fields(const Truth& truth, const std::vector<std::filesystem::path>& files) {
  double sum = 0, worst = 0;
  std::size_t movies = 0, samples = 0;
  for (const auto& path : files) {
    const auto* area = truth.find_area(path.string());
    if (area == nullptr || !area->field) continue;
    const auto found = read_field(Json::parse(read_text(path)));
    const auto frames = std::min(found.shift_px.size(), area->field->shift_px.size());
    double of_movie = 0;
    std::size_t nodes = 0;
    for (const double y : area->field->y_px)
      for (const double x : area->field->x_px) {
        Shifts a, b;
        for (std::size_t t = 0; t < frames; ++t)
          a.push_back(found.at(static_cast<int>(t), x, y)), b.push_back(area->field->at(static_cast<int>(t), x, y));
        of_movie += squared_error(a, b), nodes += frames;
      }
    sum += of_movie, samples += nodes, ++movies;
    worst = std::max(worst, std::sqrt(ratio(of_movie, static_cast<double>(nodes))));
  }
  return {{"movies", movies},
          {"rms_px", std::sqrt(ratio(sum, static_cast<double>(samples)))},
          {"worst_movie_rms_px", worst}};
}

Json check_ctf(const Truth& truth, const std::vector<std::filesystem::path>& files) {
  double bias = 0, defocus = 0, astigmatism = 0, worst = 0;
  std::size_t count = 0;
  std::string worst_name;
  std::set<const TrueArea*> seen;
  for (const auto& path : files) {
    const auto star = io::read_star(path);
    const auto& table = star.table_with("rlnDefocusU");
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const auto* area = truth.find_area(std::string(table.text(row, "rlnMicrographName")));
      if (area == nullptr || !seen.insert(area).second) continue;
      const double u = table.number(row, "rlnDefocusU"), v = table.number(row, "rlnDefocusV"),
                   angle = 2 * std::numbers::pi / 180 * table.number(row, "rlnDefocusAngle");
      const double error = (u + v - area->defocus_u_A - area->defocus_v_A) / 2,
                   true_angle = 2 * std::numbers::pi / 180 * area->astigmatism_angle_deg;
      const double true_size = area->defocus_u_A - area->defocus_v_A;
      bias += error, defocus += error * error, ++count;
      astigmatism += std::pow((u - v) * std::cos(angle) - true_size * std::cos(true_angle), 2) +
                     std::pow((u - v) * std::sin(angle) - true_size * std::sin(true_angle), 2);
      if (std::abs(error) > worst) worst = std::abs(error), worst_name = area->name;
    }
  }
  const auto n = static_cast<double>(count);
  return {{"micrographs", count},
          {"defocus_rms_A", std::sqrt(ratio(defocus, n))},
          {"defocus_bias_A", ratio(bias, n)},
          {"astigmatism_rms_A", std::sqrt(ratio(astigmatism, n))},
          {"worst_defocus_error_A", worst},
          {"worst_micrograph", worst_name}};
}

Json check_picks(const Truth& truth, const std::vector<std::filesystem::path>& files, const PickOptions& options) {
  const double diameter_px = truth.diameter_px(), border_px = options.border * diameter_px;
  const auto inside = [&](double x, double y) {
    return x >= border_px && y >= border_px && x < truth.nx - border_px && y < truth.ny - border_px;
  };
  std::size_t right = 0, picked = 0, found = 0, there = 0, micrographs = 0;
  double offset = 0;
  for (const auto& [area, picks] : read_picks(truth, files)) {
    std::vector<std::array<double, 2>> places;
    for (const auto& p : picks) places.push_back({p.x_px, p.y_px});
    const auto hit = match(area->particles, places, options.radius * diameter_px);
    ++micrographs;
    for (std::size_t i = 0; i < picks.size(); ++i) {
      const bool is_right = hit[i] >= 0;
      if (inside(picks[i].x_px, picks[i].y_px)) ++picked, right += is_right;
      if (!is_right) continue;
      const auto& p = area->particles[static_cast<std::size_t>(hit[i])];
      offset += std::pow(p.x_px - picks[i].x_px, 2) + std::pow(p.y_px - picks[i].y_px, 2);
      found += inside(p.x_px, p.y_px);
    }
    for (const auto& p : area->particles) there += inside(p.x_px, p.y_px);
  }
  const double precision = ratio(static_cast<double>(right), static_cast<double>(picked)),
               recall = ratio(static_cast<double>(found), static_cast<double>(there));
  return {{"micrographs", micrographs},
          {"picks", picked},
          {"particles", there},
          {"precision", precision},
          {"recall", recall},
          {"f1", ratio(2 * precision * recall, precision + recall)},
          {"offset_rms_px", std::sqrt(ratio(offset, static_cast<double>(right)))}};
}

}  // namespace frazil::check
