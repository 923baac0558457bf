#include "frazil/protocols/set_star.hpp"

#include <algorithm>

#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/protocols/ctf_star.hpp"
#include "frazil/protocols/particle_files.hpp"

namespace frazil::protocols {
namespace {

std::string finish(const std::vector<io::OpticsGroup>& groups, io::StarTable table) {
  io::StarFile file;
  file.add(io::optics_table(groups));
  file.add(std::move(table));
  return io::format_star(file);
}

std::string star_of(Type<Movie>, const std::vector<Json>& records, const std::filesystem::path&) {
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

std::string star_of(Type<Micrograph>, const std::vector<Json>& records, const std::filesystem::path&) {
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

std::string star_of(Type<Motion>, const std::vector<Json>& records, const std::filesystem::path&) {
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

std::string star_of(Type<CtfFit>, const std::vector<Json>& records, const std::filesystem::path&) {
  std::vector<io::OpticsGroup> groups;
  std::vector<CtfFit> fits;
  for (const auto& json : records) fits.push_back(record_from_json<CtfFit>(json));
  auto table = ctf_table("micrographs", fits);
  for (std::size_t row = 0; row < fits.size(); ++row)
    table.set(row, "rlnOpticsGroup", io::add_group(groups, micrograph_group(fits[row].optics, fits[row].pixel_size)));
  return finish(groups, std::move(table));
}

std::string star_of(Type<Coordinates>, const std::vector<Json>& records, const std::filesystem::path&) {
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

/// Rows of many tables in one.
std::string star_of(Type<Particles>, const std::vector<Json>& records, const std::filesystem::path& project) {
  std::vector<io::StarFile> files;
  for (const auto& json : records) {
    const auto record = record_from_json<Particles>(json);
    if (record.count > 0) files.push_back(io::read_star(project / record.star));
  }
  auto merged = merge_tables(files);
  return finish(merged.groups, std::move(merged.table));
}

/// Micrographs that are not kept, and why; columns of our own, which other programs pass over.
std::string aside_star(const std::vector<Json>& records) {
  io::StarTable table("micrographs", {"rlnMicrographName", "frazilName", "frazilState", "frazilStep", "frazilReason"});
  for (const auto& json : records) {
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", json.value("file", ""));
    table.set(row, "frazilName", json.value("name", ""));
    table.set(row, "frazilState", json.value("state", ""));
    table.set(row, "frazilStep", json.value("step", ""));
    table.set(row, "frazilReason", json.value("reason", ""));
  }
  io::StarFile file;
  file.add(std::move(table));
  return io::format_star(file);
}

}  // namespace

std::vector<flow::KeptTable> final_tables(const flow::Plan& plan) {
  flow::KeptTable kept{"kept_micrographs", {}, flow::KeptTable::Which::kept};
  flow::KeptTable others{"set_aside_micrographs", {}, flow::KeptTable::Which::others};
  flow::KeptTable particles{"kept_particles", {}};
  const auto steps = static_cast<int>(plan.steps.size());
  for (int i = steps - 1; i >= 0; --i) {
    const auto& planned = plan.steps[static_cast<std::size_t>(i)];
    const auto& protocol = *planned.protocol;
    for (int port = 0; port < static_cast<int>(protocol.outputs.size()); ++port) {
      const auto& output = protocol.outputs[static_cast<std::size_t>(port)];
      if (output.name == "set_aside") continue;
      if (output.kind == Particles::kind) particles.from.push_back({i, port});
      const bool tells_micrographs = output.kind == CtfFit::kind || output.kind == Micrograph::kind;
      if (tells_micrographs && !planned.versioned && protocol.shape != flow::Shape::source)
        kept.from.push_back({i, port});
      if (protocol.shape == flow::Shape::source && (output.kind == Movie::kind || output.kind == Micrograph::kind))
        others.from = {{i, port}};
    }
  }
  // A table with the CTF before one with names alone, the last filter before what it judged.
  std::stable_sort(kept.from.begin(), kept.from.end(), [&](const flow::Endpoint& a, const flow::Endpoint& b) {
    const auto rank = [&](const flow::Endpoint& from) {
      const auto& protocol = *plan.steps[static_cast<std::size_t>(from.step)].protocol;
      const bool has_ctf = protocol.outputs[static_cast<std::size_t>(from.port)].kind == CtfFit::kind;
      return (has_ctf ? 0 : 2) + (protocol.shape == flow::Shape::filter ? 0 : 1);
    };
    return rank(a) < rank(b);
  });
  std::vector<flow::KeptTable> tables;
  for (auto* table : {&kept, &others, &particles})
    if (!table->from.empty()) tables.push_back(std::move(*table));
  return tables;
}

std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records,
                                    const std::filesystem::path& project) {
  if (kind == "SetAside") return aside_star(records);
  std::optional<std::string> text;
  visit_record(kind, [&](auto type) {
    if constexpr (requires { star_of(type, records, project); }) text = star_of(type, records, project);
  });
  return text;
}

}  // namespace frazil::protocols
