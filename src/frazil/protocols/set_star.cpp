#include "frazil/protocols/set_star.hpp"

#include <algorithm>

#include "frazil/io/session_metadata.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/records.hpp"
#include "frazil/protocols/ctf_star.hpp"

namespace frazil::protocols {
namespace {

/// The place of the beam shift template that an EPU name tells: images taken there share their beam tilt. Else empty.
std::string shot_of(const std::string& path) {
  const auto name = std::filesystem::path(path).filename().string();
  const auto start = name.find("FoilHole_");  // names of results begin with the folders of the movie
  if (start == std::string::npos) return {};
  const auto info = io::parse_epu_name(name.substr(start));
  return info ? io::beam_shift_group(*info) : std::string();
}

/// Optics groups in the order in which they are met: one for each combination of optics and place of the beam shift template.
class Groups {
 public:
  int of(const io::OpticsGroup& wanted, const std::string& image) {
    const auto shot = shot_of(image);
    const auto same = [&](const io::OpticsGroup& g) {
      return shots_[static_cast<std::size_t>(g.id - 1)] == shot && g.optics.voltage == wanted.optics.voltage && g.optics.cs == wanted.optics.cs && g.optics.amplitude_contrast == wanted.optics.amplitude_contrast &&
             g.image_pixel_size == wanted.image_pixel_size && g.micrograph_pixel_size == wanted.micrograph_pixel_size &&
             g.original_pixel_size == wanted.original_pixel_size && g.image_size == wanted.image_size;
    };
    const auto found = std::find_if(groups_.begin(), groups_.end(), same);
    if (found != groups_.end()) return found->id;
    auto group = wanted;
    group.id = static_cast<int>(groups_.size()) + 1;
    group.name = shot.empty() ? fmt::format("opticsGroup{}", group.id) : fmt::format("opticsGroup{}_shot{}", group.id, shot);
    groups_.push_back(group);
    shots_.push_back(shot);
    return group.id;
  }
  [[nodiscard]] io::StarTable table() const { return io::optics_table(groups_); }

 private:
  std::vector<io::OpticsGroup> groups_;
  std::vector<std::string> shots_;  ///< of each group
};

std::string finish(const Groups& groups, io::StarTable table) {
  io::StarFile file;
  file.add(groups.table());
  file.add(std::move(table));
  return io::format_star(file);
}

std::string movies(const std::vector<Json>& records) {
  Groups groups;
  io::StarTable table("movies", {"rlnMicrographMovieName", "rlnOpticsGroup"});
  for (const auto& json : records) {
    const auto movie = record_from_json<Movie>(json);
    io::OpticsGroup group;
    group.optics = movie.optics;
    group.original_pixel_size = movie.pixel_size;
    const auto row = table.add_row();
    table.set(row, "rlnMicrographMovieName", movie.path);
    table.set(row, "rlnOpticsGroup", groups.of(group, movie.path));
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
  Groups groups;
  io::StarTable table("micrographs", {"rlnMicrographName", "rlnOpticsGroup"});
  for (const auto& json : records) {
    const auto mic = record_from_json<Micrograph>(json);
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", mic.path);
    table.set(row, "rlnOpticsGroup", groups.of(micrograph_group(mic.optics, mic.pixel_size), mic.name.empty() ? mic.path : mic.name));
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
  Groups groups;
  std::vector<CtfFit> fits;
  for (const auto& json : records) fits.push_back(record_from_json<CtfFit>(json));
  auto table = ctf_table("micrographs", fits);
  for (std::size_t row = 0; row < fits.size(); ++row) table.set(row, "rlnOpticsGroup", groups.of(micrograph_group(fits[row].optics, fits[row].pixel_size), fits[row].name.empty() ? fits[row].micrograph : fits[row].name));
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
  Groups groups;
  io::StarTable merged("particles");
  std::vector<io::StarFile> files;
  std::vector<std::string> labels;
  // A selection (without a stack of its own) replaces the one before it; particles of micrographs add up.
  const bool versions = !records.empty() && record_from_json<Particles>(records.back()).stack.empty() && record_from_json<Particles>(records.back()).count > 0;
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
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const auto to = merged.add_row();
      for (int c = 0; c < merged.columns(); ++c) {
        const auto from = table.find_column(labels[static_cast<std::size_t>(c)]);
        merged.set(to, c, from ? table.text(row, *from) : std::string_view("0"));
      }
      merged.set(to, "rlnOpticsGroup", groups.of(optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(row))), table.has("rlnMicrographName") ? std::string(table.text(row, "rlnMicrographName")) : std::string()));
    }
  }
  return finish(groups, std::move(merged));
}

}  // namespace

std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records, const std::filesystem::path& project) {
  if (kind == Movie::kind) return movies(records);
  if (kind == Micrograph::kind) return micrographs(records);
  if (kind == Motion::kind) return motion(records);
  if (kind == CtfFit::kind) return ctf_fits(records);
  if (kind == Coordinates::kind) return coordinates(records);
  if (kind == Particles::kind) return particles(records, project);
  return std::nullopt;
}

}  // namespace frazil::protocols
