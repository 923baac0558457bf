#include "frazil/protocols/set_star.hpp"

#include <algorithm>

#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/records.hpp"
#include "frazil/protocols/ctf_star.hpp"

namespace frazil::protocols {
namespace {

std::string finish(const std::vector<io::OpticsGroup>& groups, io::StarTable table) {
  io::StarFile file;
  file.add(io::optics_table(groups));
  file.add(std::move(table));
  return io::format_star(file);
}

std::string movies(const std::vector<Json>& records) {
  std::vector<io::OpticsGroup> groups;
  io::StarTable table("movies", {"rlnMicrographMovieName", "rlnOpticsGroup"});
  for (const auto& json : records) {
    const auto movie = record_from_json<Movie>(json);
    io::OpticsGroup group;
    group.optics = movie.optics;
    group.original_pixel_size = movie.pixel_size;
    const auto row = table.add_row();
    table.set(row, "rlnMicrographMovieName", movie.path);
    table.set(row, "rlnOpticsGroup", io::add_group(groups, group));
  }
  return finish(groups, std::move(table));
}

io::OpticsGroup micrograph_group(const Optics& optics, Angstrom pixel_size) {
  io::OpticsGroup group;
  group.optics = optics;
  group.micrograph_pixel_size = pixel_size;
  group.original_pixel_size = pixel_size;
  return group;
}

std::string micrographs(const std::vector<Json>& records) {
  std::vector<io::OpticsGroup> groups;
  io::StarTable table("micrographs", {"rlnMicrographName", "rlnOpticsGroup"});
  for (const auto& json : records) {
    const auto mic = record_from_json<Micrograph>(json);
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", mic.path);
    table.set(row, "rlnOpticsGroup", io::add_group(groups, micrograph_group(mic.optics, mic.pixel_size)));
  }
  return finish(groups, std::move(table));
}

std::string motion(const std::vector<Json>& records) {
  io::StarTable table("micrographs", {"rlnMicrographName", "rlnMicrographMetadata", "rlnAccumMotionTotal"});
  for (const auto& json : records) {
    const auto m = record_from_json<Motion>(json);
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", m.micrograph_dw.empty() ? m.micrograph : m.micrograph_dw);
    table.set(row, "rlnMicrographMetadata", m.star);
    table.set(row, "rlnAccumMotionTotal", m.total_path.value());
  }
  io::StarFile file;
  file.add(std::move(table));
  return io::format_star(file);
}

std::string ctf_fits(const std::vector<Json>& records) {
  std::vector<io::OpticsGroup> groups;
  std::vector<CtfFit> fits;
  for (const auto& json : records) fits.push_back(record_from_json<CtfFit>(json));
  auto table = ctf_table("micrographs", fits);
  for (std::size_t row = 0; row < fits.size(); ++row)
    table.set(row, "rlnOpticsGroup", io::add_group(groups, micrograph_group(fits[row].optics, fits[row].pixel_size)));
  return finish(groups, std::move(table));
}

std::string coordinates(const std::vector<Json>& records) {
  io::StarTable table("coordinate_files", {"rlnMicrographName", "rlnMicrographCoordinates"});
  for (const auto& json : records) {
    const auto c = record_from_json<Coordinates>(json);
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", c.micrograph);
    table.set(row, "rlnMicrographCoordinates", c.coordinates);
  }
  io::StarFile file;
  file.add(std::move(table));
  return io::format_star(file);
}

/// Rows of many tables in one, optics groups renumbered; columns that a table lacks are filled with 0.
std::string particles(const std::vector<Json>& records, const std::filesystem::path& project) {
  std::vector<io::OpticsGroup> groups;
  io::StarTable merged("particles");
  std::vector<io::StarFile> files;
  std::vector<std::string> labels;
  // A selection (without a stack of its own) replaces the one before it; particles of micrographs add up.
  const bool versions = !records.empty() && record_from_json<Particles>(records.back()).stack.empty() &&
                        record_from_json<Particles>(records.back()).count > 0;
  for (const auto& json : std::vector<Json>(versions ? records.end() - 1 : records.begin(), records.end())) {
    const auto record = record_from_json<Particles>(json);
    if (record.count == 0) continue;
    files.push_back(io::read_star(project / record.star));
    for (const auto& label : files.back().table_with("rlnImageName").labels())
      if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(label);
  }
  if (std::find(labels.begin(), labels.end(), "rlnOpticsGroup") == labels.end()) labels.emplace_back("rlnOpticsGroup");
  merged = io::StarTable("particles", labels);
  for (const auto& file : files) {
    const auto& table = file.table_with("rlnImageName");
    if (table.rows() == 0) continue;
    const auto optics = io::read_optics(file, table);
    std::vector<int> number;
    for (const auto& group : optics.groups) number.push_back(io::add_group(groups, group));
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const auto to = merged.add_row();
      for (int c = 0; c < merged.columns(); ++c) {
        const auto from = table.find_column(labels[static_cast<std::size_t>(c)]);
        merged.set(to, c, from ? table.text(row, *from) : std::string_view("0"));
      }
      merged.set(to, "rlnOpticsGroup", number.at(static_cast<std::size_t>(optics.group_of_row.at(row))));
    }
  }
  return finish(groups, std::move(merged));
}

}  // namespace

std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records,
                                    const std::filesystem::path& project) {
  if (kind == Movie::kind) return movies(records);
  if (kind == Micrograph::kind) return micrographs(records);
  if (kind == Motion::kind) return motion(records);
  if (kind == CtfFit::kind) return ctf_fits(records);
  if (kind == Coordinates::kind) return coordinates(records);
  if (kind == Particles::kind) return particles(records, project);
  return std::nullopt;
}

}  // namespace frazil::protocols
