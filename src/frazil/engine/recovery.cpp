#include "frazil/engine/recovery.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <unordered_map>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/marker.hpp"
#include "frazil/store/database.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

Error refusal(const fs::path& project, const std::string& what) {
  return {
      ErrorCode::bad_input,
      "{}: {}. Nothing was changed or removed. Choose: give the command \"frazil run\" with --rebuild, which finds the "
      "results in steps/ again (decisions of people, approvals and events are not in there); put the right "
      "project.frazil back; or start anew in another folder (--project)",
      project.string(), what};
}

/// The marker, if it belongs to the folder that it lies in.
std::optional<Marker> marker_of(const fs::path& folder) {
  auto marker = read_marker(folder);
  if (!marker || marker->task.step != folder.parent_path().filename() ||
      !folder.filename().string().ends_with("_" + marker->task.key.substr(0, 8)))
    return std::nullopt;
  return marker;
}

/// Whether a folder says that it was made for another project than `identity`.
bool is_foreign(const fs::path& folder, const std::string& identity) {
  const auto marker = marker_of(folder);
  return marker && !marker->project.empty() && !identity.empty() && marker->project != identity;
}

/// Opens the database and closes it again. @return what is wrong with it; empty: nothing
std::string damage_of(const fs::path& project) {
  try {
    store::Project store(project);
    (void)store.get("created");
    return {};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    return error.what();
  }
}

/// The same, after reading all of it and the result folders. @return why it cannot be gone on with; empty: it can
std::string deep_damage_of(const fs::path& project) {
  try {
    const auto identity = store::Project(project).get("identity").value_or("");
    store::Database database(project / "project.frazil");
    auto check = database.query("PRAGMA quick_check(1)");
    if (!check.step()) return "it cannot be checked";
    if (const auto found = std::string(check.text()); found != "ok") return found;
    const auto folders = result_folders(project);
    const bool foreign = std::any_of(folders.begin(), folders.end(),
                                     [&](const fs::path& folder) { return is_foreign(folder, identity); });
    return foreign ? "it is of another project" : "";
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    return error.what();
  }
}

/// project.frazil and what SQLite keeps beside it get names that nobody opens.
void move_database_aside(const fs::path& project) {
  for (int i = 1;; ++i) {
    const auto ending = fmt::format(".damaged{}", i);
    if (fs::exists(project / ("project.frazil" + ending))) continue;
    for (const auto* name : {"project.frazil", "project.frazil-wal", "project.frazil-journal"}) {
      std::error_code ignored;
      const auto path = project / name;
      if (fs::exists(path)) fs::rename(path, path.string() + ending, ignored);
    }
    return;
  }
}

/// Epoch in engine.lock: of the last engine that worked here, whatever the database says.
std::int64_t signed_epoch(const fs::path& project) {
  std::error_code ignored;
  if (!fs::exists(project / "engine.lock", ignored)) return 0;
  const auto text = Json::parse(read_text(project / "engine.lock"), nullptr, false);
  return text.is_object() ? text.value("epoch", std::int64_t{0}) : 0;
}

}  // namespace

void expect_database(const fs::path& project, bool rebuild) {
  const auto file = project / "project.frazil";
  std::error_code ignored;
  const bool is_there = fs::exists(file, ignored) && fs::file_size(file, ignored) > 0;
  if (is_there) {
    const auto damage = rebuild ? deep_damage_of(project) : damage_of(project);
    if (damage.empty()) return;
    if (!rebuild) throw refusal(project, "its database is damaged (" + damage + ")");
    return move_database_aside(project);
  }
  const auto folders = result_folders(project);
  if (!folders.empty() && !rebuild)
    throw refusal(project, fmt::format("its database project.frazil is {}, but steps/ holds {} results",
                                       fs::exists(file, ignored) ? "empty" : "not there", folders.size()));
  if (!folders.empty()) move_database_aside(project);
}

std::string identity_of(store::Project& store) {
  if (auto known = store.get("identity")) return *known;
  std::random_device chance;
  const auto identity = fmt::format("{:08x}{:08x}{:08x}{:08x}", chance(), chance(), chance(), chance());
  store.put("identity", identity);
  return identity;
}

void expect_results(const fs::path& project, store::Project& store) {
  if (!result_folders(project).empty()) return;
  bool known = false;
  store.for_outputs([&](std::int64_t, std::string_view, std::int64_t item) {
    known = known || store.record(item).find("\"steps/") != std::string::npos;
  });
  if (known)
    throw Error(
        ErrorCode::bad_input,
        "{}: none of its results is there: {}/ is empty. Nothing was changed. Put that folder, or the disk that "
        "it lies on, back in place; or start anew in another folder (--project)",
        project.string(), (project / "steps").string());
}

std::vector<fs::path> find_orphans(const fs::path& project, store::Project& store) {
  auto folders = result_folders(project);
  try {
    std::erase_if(folders, [&](const fs::path& folder) {
      const auto name = folder.filename().string();
      return store.has_task(folder.parent_path().filename().string(), name.substr(name.size() - 8));
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    throw refusal(project, std::string("its database is damaged (") + error.what() + ")");
  }
  return folders;
}

void expect_latest(const fs::path& project, const std::vector<fs::path>& orphans, const std::string& identity,
                   std::int64_t last_epoch) {
  const auto foreign = std::count_if(orphans.begin(), orphans.end(),
                                     [&](const fs::path& folder) { return is_foreign(folder, identity); });
  if (foreign > 0)
    throw refusal(
        project,
        fmt::format("its database is of another project: {} results in steps/ were made for this one", foreign));
  auto latest = signed_epoch(project);
  int later = 0;
  for (const auto& folder : orphans)
    if (const auto marker = marker_of(folder); marker && marker->epoch > last_epoch) {
      latest = std::max(latest, marker->epoch);
      ++later;
    }
  if (latest > last_epoch)
    throw refusal(project,
                  fmt::format("its database is an older copy: it knows {} starts of the engine, there were {}, "
                              "and steps/ holds {} results that it does not know",
                              last_epoch, latest, later));
}

void set_aside_orphans(const fs::path& project, const std::vector<fs::path>& orphans) {
  for (const auto& folder : orphans) {
    const auto place = project / "orphans" / folder.parent_path().filename();
    make_folders(place);
    auto to = place / folder.filename();
    for (int i = 2; fs::exists(to); ++i) to = place / fmt::format("{}.{}", folder.filename().string(), i);
    std::error_code error;
    fs::rename(folder, to, error);
    if (error) throw Error(ErrorCode::io, "{}: cannot be moved to orphans/: {}", folder.string(), error.message());
  }
  if (!orphans.empty())
    log::info("{}: {} result folders that no stored task owns were moved to orphans/", project.string(),
              orphans.size());
}

Rebuilt rebuild(const fs::path& project, store::Project& store) {
  Rebuilt found;
  std::vector<Marker> markers;
  auto epoch = std::max(signed_epoch(project), static_cast<std::int64_t>(std::stoll(store.get("epoch").value_or("0"))));
  for (const auto& folder : find_orphans(project, store)) {
    if (auto marker = marker_of(folder))
      markers.push_back(std::move(*marker));
    else
      ++found.untold;
  }
  for (const auto& marker : markers)
    if (!marker.project.empty() && !store.get("identity")) store.put("identity", marker.project);
  std::unordered_map<std::string, std::int64_t> numbers;
  for (const auto& marker : markers)
    for (const auto* list : {&marker.imports, &marker.outputs})
      for (const auto& item : *list) numbers[item.id] = store.add_item(item);
  found.items = static_cast<int>(numbers.size());
  std::map<std::string, std::map<int, std::vector<std::string>>> lists;
  for (auto& marker : markers) {
    Json inputs = Json::array();
    for (const auto& id : marker.inputs) {
      if (const auto known = numbers.find(id); known != numbers.end())
        inputs.push_back(known->second);
      else if (const auto item = store.find_item(id))
        inputs.push_back(item->n);
    }
    marker.task.inputs = inputs.dump();
    for (const auto& item : marker.outputs) marker.task.outputs.emplace_back(item.port, numbers.at(item.id));
    store.add_task(marker.task);
    if (marker.batch >= 0) lists[marker.task.step][marker.batch] = std::move(marker.members);
    epoch = std::max(epoch, marker.epoch);
    ++found.tasks;
  }
  std::map<std::string, int> next;  // by step: the number that its next list has
  for (const auto& row : store.batches()) next[row.step] = std::max(next[row.step], row.number + 1);
  for (const auto& [step, by_number] : lists)
    for (const auto& [number, members] : by_number)
      if (number == next[step]) {  // after a gap the numbers would mean other lists
        store.add_batch({step, number, members});
        ++next[step];
        ++found.lists;
      }
  store.put("epoch", std::to_string(epoch));
  store.add_event("rebuilt", "", "",
                  fmt::format("{} tasks, {} items and {} lists from result folders; decisions of people, approvals, "
                              "earlier events and failures are not in there; {} folders do not say what made them",
                              found.tasks, found.items, found.lists, found.untold));
  return found;
}

}  // namespace frazil::engine
