#include "frazil/bundle/bundle.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/bundle/cryosparc.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/snapshot.hpp"
#include "frazil/io/star.hpp"
#include "frazil/store/project.hpp"

namespace frazil::bundle {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view list_name = "bundle.json";

std::string iso_time(double seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// Copies what belongs to the project; locks, temporary files and older databases do not.
void copy_project(const fs::path& from, const fs::path& to) {
  fs::copy_file(from / "workflow.json", to / "workflow.json");
  for (const auto* folder : {"steps", "star", "report", "logs", "tables"})
    if (fs::exists(from / folder))
      fs::copy(from / folder, to / folder, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

/// The acquired files: links by relative path where the way is short, or copies.
Json carry_raw(const fs::path& project, const fs::path& bundle, const fs::path& final_place, bool with_movies) {
  Json list = Json::array();
  if (!fs::exists(project / "raw")) return list;
  for (const auto& entry : fs::recursive_directory_iterator(project / "raw")) {
    if (!entry.is_symlink() && !entry.is_regular_file()) continue;
    const auto place = entry.path().lexically_relative(project);  // fs::relative would follow the link
    const auto target = fs::weakly_canonical(entry.path());
    make_folders((bundle / place).parent_path());
    const bool there = fs::exists(target);
    if ((with_movies && there) || !entry.is_symlink())
      fs::copy_file(target, bundle / place);
    else
      fs::create_symlink(
          fs::relative(
              target, (fs::weakly_canonical(final_place.parent_path()) / final_place.filename() / place).parent_path()),
          bundle / place);
    list.push_back({{"link", place.string()},
                    {"file", target.filename().string()},
                    {"size", there ? Json(fs::file_size(target)) : Json()},
                    {"copied", with_movies && there}});
  }
  return list;
}

/// RELION and cryoSPARC tables of every set, named after their step.
int write_tables(const fs::path& bundle) {
  int tables = 0;
  if (!fs::exists(bundle / "star")) return 0;
  make_folders(bundle / "cryosparc");
  for (const auto& entry : fs::directory_iterator(bundle / "star")) {
    if (entry.path().extension() != ".star") continue;
    ++tables;
    const auto star = io::read_star(entry.path());
    const bool particles = std::any_of(star.tables.begin(), star.tables.end(),
                                       [](const io::StarTable& t) { return t.has("rlnImageName") && t.rows() > 0; });
    if (!particles) continue;
    write_text(bundle / "cryosparc" / (entry.path().stem().string() + ".cs"), particles_cs(star, bundle));
    ++tables;
  }
  return tables;
}

/// tasks.jsonl: one line a task with what computed it. The key is also the seed of its random numbers.
void write_tasks(const fs::path& bundle, store::Project& store) {
  std::string text;
  store.for_tasks([&](store::TaskRow&& task) {
    Json outputs = Json::array();
    for (const auto& [port, item] : task.outputs) outputs.push_back({{"port", port}, {"item", item}});
    Json line = {{"step", task.step},
                 {"protocol", task.protocol},
                 {"version", task.version},
                 {"programs", task.programs},
                 {"subject", task.label},
                 {"key", task.key},
                 {"inputs", Json::parse(task.inputs)},
                 {"outputs", std::move(outputs)},
                 {"attempts", task.attempts},
                 {"seconds", task.seconds},
                 {"peak_mib", task.peak_mib},
                 {"threads", task.threads},
                 {"target", task.target},
                 {"finished", iso_time(task.finished)}};
    if (task.failed) line["error"] = task.message;
    text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";  // errors hold what programs printed
  });
  write_text(bundle / "tasks.jsonl", text);
}

Json hashes_of(const fs::path& bundle, Exported& exported) {
  std::map<std::string, Json> sorted;
  for (const auto& entry : fs::recursive_directory_iterator(bundle)) {
    if (entry.is_symlink() || !entry.is_regular_file()) continue;
    const auto place = entry.path().lexically_relative(bundle).string();
    if (place == list_name || place == "ro-crate-metadata.json" || place == "engine.lock") continue;
    sorted[place] = {{"xxh128", hash_file(entry.path())}, {"size", entry.file_size()}};
    ++exported.files;
    exported.bytes += entry.file_size();
  }
  Json list = Json::object();
  for (auto& [place, value] : sorted) list[place] = std::move(value);
  return list;
}

/// What was done, with which parameters, and what was decided, from the snapshot.
Json history(const Json& snapshot) {
  Json steps = Json::array();
  for (const auto& step : snapshot.at("steps"))
    steps.push_back({{"name", step.at("name")},
                     {"protocol", step.at("protocol")},
                     {"version", step.at("version")},
                     {"cites", step.at("cites")},
                     {"params", step.at("params")},
                     {"inputs", step.at("inputs")},
                     {"where", step.at("where")},
                     {"counts", step.at("counts")},
                     {"decisions", step.at("decisions")},
                     {"failures", step.at("failures")}});
  return steps;
}

/// https://www.researchobject.org/ro-crate/1.1: the root, its files, and one action a step.
Json ro_crate(const Json& list, const Json& snapshot, const std::string& program) {
  Json graph = Json::array();
  graph.push_back({{"@id", "ro-crate-metadata.json"},
                   {"@type", "CreativeWork"},
                   {"about", {{"@id", "./"}}},
                   {"conformsTo", {{"@id", "https://w3id.org/ro/crate/1.1"}}}});
  Json parts = Json::array(), files = Json::array(), actions = Json::array();
  for (const auto& [place, info] : list.at("files").items()) {
    parts.push_back({{"@id", place}});
    files.push_back({{"@id", place},
                     {"@type", "File"},
                     {"contentSize", std::to_string(info.at("size").get<std::uint64_t>())},
                     {"identifier", "xxh128:" + info.at("xxh128").get<std::string>()}});
  }
  Json tools = Json::array(
      {{{"@id", "#frazil"}, {"@type", "SoftwareApplication"}, {"name", "frazil"}, {"softwareVersion", program}}});
  for (const auto& plugin : list.at("plugins"))
    tools.push_back({{"@id", "#plugin-" + plugin.value("id", "")},
                     {"@type", "SoftwareApplication"},
                     {"name", plugin.value("id", "")},
                     {"softwareVersion", plugin.value("version", "")},
                     {"identifier", "xxh128:" + plugin.value("checksum", "")}});
  Json mentions = Json::array();
  for (const auto& step : snapshot.at("steps")) {
    const auto id = "#step-" + step.at("name").get<std::string>();
    Json action = {{"@id", id},
                   {"@type", "CreateAction"},
                   {"name", step.at("title")},
                   {"instrument", {{"@id", "#frazil"}}},
                   {"description", fmt::format("{} version {}, parameters {}", step.at("protocol").get<std::string>(),
                                               step.at("version").get<int>(), step.at("params").dump())}};
    if (const auto doi = step.at("cites").get<std::string>(); !doi.empty())
      action["citation"] = {{"@id", "https://doi.org/" + doi}};
    actions.push_back(std::move(action));
    mentions.push_back({{"@id", id}});
  }
  graph.push_back({{"@id", "./"},
                   {"@type", "Dataset"},
                   {"name", list.at("name")},
                   {"description", list.at("title")},
                   {"datePublished", list.at("exported")},
                   {"license", "not stated"},
                   {"hasPart", std::move(parts)},
                   {"mentions", std::move(mentions)}});
  for (auto* group : {&tools, &actions, &files})
    for (auto& entry : *group) graph.push_back(std::move(entry));
  return {{"@context", "https://w3id.org/ro/crate/1.1/context"}, {"@graph", std::move(graph)}};
}

}  // namespace

Exported export_project(const fs::path& project, const fs::path& bundle, const flow::Registry& registry,
                        const ExportOptions& options) {
  if (fs::exists(bundle)) throw Error(ErrorCode::bad_input, "{}: is there already; name a new folder", bundle.string());
  if (const auto holder = engine::lease_holder(project))
    throw Error(ErrorCode::resource, "{}: an engine works on this project (process {} on {}): stop it first",
                project.string(), holder->pid, holder->host);
  const auto snapshot = engine::read_snapshot(project, registry);
  const fs::path work = bundle.string() + ".part";
  std::error_code ignored;
  fs::remove_all(work, ignored);
  make_folders(work);
  Exported exported;
  Json list;
  {
    store::Project store(project, store::Access::read);
    list = {{"format", 1},
            {"name", snapshot.at("project").at("name")},
            {"title", snapshot.at("project").at("title")},
            {"exported", iso_time(store::now())},
            {"program", options.program},
            {"plugins", options.plugins},
            {"seed", store.get("seed").value_or("1")},
            {"values", snapshot.at("values")},
            {"workflow", snapshot.at("workflow")},
            {"steps", history(snapshot)}};
    write_tasks(work, store);
    store.copy_to(work / "project.frazil");  // with what a killed engine has left in its log
  }
  copy_project(project, work);
  list["raw"] = carry_raw(project, work, bundle, options.with_movies);
  exported.tables = write_tables(work);
  list["files"] = hashes_of(work, exported);
  write_text(work / "ro-crate-metadata.json", ro_crate(list, snapshot, options.program).dump(1) + "\n");
  write_text(work / std::string(list_name), list.dump(1) + "\n");
  fs::rename(work, bundle);
  return exported;
}

std::vector<Difference> verify_bundle(const fs::path& bundle, int& files) {
  if (!fs::exists(bundle / list_name))
    throw Error(ErrorCode::not_found, "{}: is no bundle, it has no {}", bundle.string(), list_name);
  const auto list = Json::parse(read_text(bundle / list_name));
  std::vector<Difference> differences;
  files = 0;
  for (const auto& [place, info] : list.at("files").items()) {
    ++files;
    const auto path = bundle / place;
    if (!fs::exists(path))
      differences.push_back({place, "is missing"});
    else if (fs::file_size(path) != info.at("size").get<std::uint64_t>())
      differences.push_back(
          {place, fmt::format("has {} bytes, expected {}", fs::file_size(path), info.at("size").dump())});
    else if (const auto hash = hash_file(path); hash != info.at("xxh128").get<std::string>())
      differences.push_back(
          {place, "has other content: hash " + hash + ", expected " + info.at("xxh128").get<std::string>()});
  }
  for (const auto& raw : list.at("raw"))
    if (!fs::exists(bundle / raw.value("link", "")))
      differences.push_back(
          {raw.value("link", ""), "the acquired file is not where the link points: `frazil repoint` sets links anew"});
  return differences;
}

int repoint(const fs::path& project, const std::string& step, const fs::path& folder,
            std::vector<Difference>& problems) {
  if (!fs::exists(project / "project.frazil"))
    throw Error(ErrorCode::not_found, "{}: there is no project here", project.string());
  const engine::Lease lease(project);
  store::Project store(project);
  int links = 0;
  for (const auto& file : store.files()) {
    if (file.state != "item" || (!step.empty() && file.step != step)) continue;
    const auto link = project / "raw" / file.step / file.path;
    const auto target = fs::weakly_canonical(folder / file.path);
    if (!fs::exists(target))
      problems.push_back({file.path, "is not in " + folder.string()});
    else if (static_cast<std::int64_t>(fs::file_size(target)) != file.size)
      problems.push_back({file.path, fmt::format("has {} bytes in {}, {} were processed", fs::file_size(target),
                                                 folder.string(), file.size)});
    else {
      make_folders(link.parent_path());
      std::error_code ignored;
      fs::remove(link, ignored);
      fs::create_symlink(target, link);
      ++links;
    }
  }
  return links;
}

}  // namespace frazil::bundle
