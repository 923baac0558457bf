#include "frazil/protocols/set_tools.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "frazil/base/files.hpp"
#include "frazil/io/star_expression.hpp"
#include "frazil/protocols/coordinate_files.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/particle_files.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

using RowList = std::vector<std::size_t>;

/// Where a particle lies: micrograph as its table names it and position in Å; without positions its image alone.
struct Place {
  std::string micrograph;
  double x = 0, y = 0;
};

struct Places {
  bool located = false;  ///< in micrographs
  std::vector<Place> of_row;
};

/// Images that have no positions are known by file and number, whatever way leads to the file.
std::vector<Place> places_of_images(const ImagePlaces& images) {
  std::vector<std::string> files;
  for (const auto& stack : images.stacks) {
    std::error_code error;
    const auto file = std::filesystem::canonical(stack, error);
    files.push_back(error ? stack : file.string());
  }
  std::vector<Place> places;
  for (const auto& image : images.of_row)
    places.push_back({io::join_reference(image.index, files.at(image.stack)), 0, 0});
  return places;
}

Places places_of(const Particles& particles, const flow::Context& context) {
  if (particles.count == 0) return {};
  const auto found = read_tables({particles}, context);
  const auto& table = found.table;
  Places places{table.has("rlnMicrographName") && table.has("rlnCoordinateX") && table.has("rlnCoordinateY"), {}};
  if (!places.located) {
    places.of_row = places_of_images(found.images);
    return places;
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto& group = found.group_of(row);
    const auto pixel = group.micrograph_pixel_size > 0_A ? group.micrograph_pixel_size : group.original_pixel_size;
    const double scale = pixel > 0_A ? pixel.value() : 1;
    places.of_row.push_back({std::string(table.text(row, "rlnMicrographName")),
                             table.number(row, "rlnCoordinateX") * scale, table.number(row, "rlnCoordinateY") * scale});
  }
  return places;
}

/// Positions tell nothing about images without.
void expect_alike(const Particles& one, const Places& of_one, const Particles& other, const Places& of_other) {
  if (of_one.of_row.empty() || of_other.of_row.empty() || of_one.located == of_other.located) return;
  const auto& [with, without] = of_one.located ? std::tie(one.star, other.star) : std::tie(other.star, one.star);
  throw Error(ErrorCode::bad_input,
              "{} has positions in micrographs, {} has none: it cannot be told which particles are the same", with,
              without);
}

/// Whether one name stands for images of two folders, so that names do not tell micrographs apart.
bool names_repeat(const std::vector<Place>& places) {
  std::unordered_map<std::string, std::string> path_of;
  for (const auto& place : places)
    if (path_of.emplace(area_name(place.micrograph), place.micrograph).first->second != place.micrograph) return true;
  return false;
}

/// Finds out whether a place is among others. Micrographs are known by name, as sets of different runs and binnings
/// call their folders and suffixes differently; by their whole path where names repeat.
class PlaceIndex {
 public:
  PlaceIndex(const Places& known, const Places& asked, double tolerance_A)
      : by_path_(!known.located || names_repeat(known.of_row) || names_repeat(asked.of_row)),
        tolerance_A_(tolerance_A),
        cell_A_(std::max(tolerance_A, 1.0)) {
    for (const auto& place : known.of_row)
      if (is_somewhere(place))
        cells_[key(place.micrograph, cell(place.x), cell(place.y))].emplace_back(place.x, place.y);
  }
  [[nodiscard]] bool holds(const Place& place) const {
    if (!is_somewhere(place)) return false;
    for (long dx = -1; dx <= 1; ++dx)
      for (long dy = -1; dy <= 1; ++dy) {
        const auto found = cells_.find(key(place.micrograph, cell(place.x) + dx, cell(place.y) + dy));
        if (found == cells_.end()) continue;
        for (const auto& [x, y] : found->second)
          if (std::hypot(x - place.x, y - place.y) <= tolerance_A_) return true;
      }
    return false;
  }

 private:
  static bool is_somewhere(const Place& place) { return std::isfinite(place.x) && std::isfinite(place.y); }
  [[nodiscard]] long cell(double at) const { return std::lround(std::floor(at / cell_A_)); }
  [[nodiscard]] std::string key(const std::string& micrograph, long x, long y) const {
    return fmt::format("{}:{}:{}", by_path_ ? micrograph : area_name(micrograph), x, y);
  }

  bool by_path_;
  double tolerance_A_, cell_A_;
  std::unordered_map<std::string, std::vector<std::pair<double, double>>> cells_;
};

/// A record for some rows of `files`, written as `name`; nothing for no rows.
std::optional<Particles> write_rows(const Particles& like, const ParticleTables& files, const RowList& rows,
                                    const std::string& name, flow::Context& context) {
  if (rows.empty()) return std::nullopt;
  write_particles(context.output(name + ".star"), files.groups, pick_rows(files.table, rows));
  Particles out = like;
  out.star = context.reference(name + ".star");
  out.count = static_cast<int>(rows.size());
  out.left_out_reasons.clear();
  out.left_out_counts.clear();
  return out;
}

/// The same for all rows that are accepted, and for the others.
PartedParticles part(const Particles& particles, const std::function<bool(std::size_t, const io::StarTable&)>& accepts,
                     const std::string& reason, flow::Context& context) {
  if (particles.count == 0) return {particles, std::nullopt};
  const auto files = read_tables({particles}, context);
  RowList accepted, set_aside;
  for (std::size_t row = 0; row < files.table.rows(); ++row)
    (accepts(row, files.table) ? accepted : set_aside).push_back(row);
  const auto stem = area_name(particles.star);
  PartedParticles out{write_rows(particles, files, accepted, stem + "_accepted_particles", context),
                      write_rows(particles, files, set_aside, stem + "_set_aside_particles", context)};
  if (out.accepted && !set_aside.empty()) {
    out.accepted->left_out_reasons = {reason};
    out.accepted->left_out_counts = {static_cast<int>(set_aside.size())};
  }
  return out;
}

/// All rows in a random order.
RowList shuffled(std::size_t count, Rng rng) {
  RowList rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  for (std::size_t i = count; i > 1; --i) std::swap(rows[i - 1], rows[rng.below(i)]);
  return rows;
}

}  // namespace

Particles Union::process(const Input& input, flow::Context& context) const {
  if (input.others.count == 0) return input.particles;
  if (input.particles.count == 0) return input.others;
  const auto particles = places_of(input.particles, context), others = places_of(input.others, context);
  expect_alike(input.particles, particles, input.others, others);
  const PlaceIndex known(particles, others, params.tolerance.value());
  const auto files = read_tables({input.particles, input.others}, context);
  const auto first = particles.of_row.size();
  RowList rows(first);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  for (std::size_t i = 0; i < others.of_row.size(); ++i)
    if (!known.holds(others.of_row[i])) rows.push_back(first + i);
  return write_rows(input.particles, files, rows, area_name(input.particles.star) + "_union_particles", context)
      .value();
}

PartedParticles Intersect::process(const Input& input, flow::Context& context) const {
  const auto places = places_of(input.particles, context), of_others = places_of(input.others, context);
  expect_alike(input.particles, places, input.others, of_others);
  const PlaceIndex others(of_others, places, params.tolerance.value());
  return part(
      input.particles, [&](std::size_t row, const io::StarTable&) { return others.holds(places.of_row.at(row)); },
      "not in the other set", context);
}

HalvedParticles Split::process(const Particles& particles, flow::Context& context) const {
  if (particles.count == 0) return {particles, std::nullopt};
  const auto files = read_tables({particles}, context);
  auto first = shuffled(files.table.rows(), context.rng());
  const auto at =
      first.begin() + static_cast<std::ptrdiff_t>(std::lround(params.fraction * static_cast<double>(first.size())));
  RowList second(at, first.end());
  first.erase(at, first.end());
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  const auto stem = area_name(particles.star);
  return {write_rows(particles, files, first, stem + "_first_particles", context),
          write_rows(particles, files, second, stem + "_second_particles", context)};
}

Particles Sample::process(const Particles& particles, flow::Context& context) const {
  if (particles.count == 0) return particles;
  const auto files = read_tables({particles}, context);
  auto rows = shuffled(files.table.rows(), context.rng());
  const auto wanted = params.count > 0
                          ? static_cast<std::size_t>(params.count)
                          : static_cast<std::size_t>(std::lround(params.fraction * static_cast<double>(rows.size())));
  rows.resize(std::clamp<std::size_t>(wanted, 1, rows.size()));
  std::sort(rows.begin(), rows.end());
  return write_rows(particles, files, rows, area_name(particles.star) + "_sample_particles", context).value();
}

PartedParticles FilterItems::process(const Particles& particles, flow::Context& context) const {
  std::optional<io::StarExpression> expression;
  return part(
      particles,
      [&](std::size_t row, const io::StarTable& table) {
        if (!expression) expression.emplace(params.expression, table);
        return expression->holds(row);
      },
      params.expression, context);
}

Coordinates ExportCoordinates::process(const Coordinates& coordinates, flow::Context& context) const {
  const auto picked = read_coordinates(coordinates, {}, context);
  auto positions = pick_rows(picked.table(), picked.rows);
  const auto x = positions.numbers("rlnCoordinateX"), y = positions.numbers("rlnCoordinateY");
  const auto name = area_name(coordinates.name.empty() ? coordinates.coordinates : coordinates.name) + "." +
                    std::string(name_of(params.format));
  if (params.format == CoordinateFormat::star) {
    io::StarFile out;
    if (positions.has("rlnOpticsGroup"))
      if (const auto* optics = picked.file.find_table("optics")) out.add(*optics);
    out.add(std::move(positions));
    io::write_star(context.output(name), out);
  } else {
    std::string text = params.format == CoordinateFormat::csv ? "x,y\n" : "";
    const double half = params.box / 2;  // boxes are even
    for (std::size_t i = 0; i < x.size(); ++i)
      text += params.format == CoordinateFormat::csv ? fmt::format("{},{}\n", x[i], y[i])
                                                     : fmt::format("{:.0f}\t{:.0f}\t{}\t{}\n", std::round(x[i] - half),
                                                                   std::round(y[i] - half), params.box, params.box);
    write_text(context.output(name), text);
  }
  Coordinates out = coordinates;
  out.coordinates = context.reference(name);
  return out;
}

template flow::Protocol protocol_of<ExportCoordinates>();
template flow::Protocol protocol_of<Union>();
template flow::Protocol protocol_of<Intersect>();
template flow::Protocol protocol_of<Split>();
template flow::Protocol protocol_of<Sample>();
template flow::Protocol protocol_of<FilterItems>();

}  // namespace frazil::protocols
