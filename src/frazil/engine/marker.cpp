#include "frazil/engine/marker.hpp"

#include <algorithm>
#include <fstream>

#include "frazil/base/files.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

Json item_json(const store::ItemRow& item) {
  return {{"id", item.id}, {"kind", item.kind}, {"port", item.port}, {"record", Json::parse(item.record)}};
}

Json import_json(const store::ItemRow& item) {
  auto json = item_json(item);
  json.update({{"step", item.step}, {"subject", item.subject}, {"order", item.order}, {"label", item.label}});
  return json;
}

store::ItemRow item_of(const Json& json, const store::TaskRow& task) {
  return {0,
          json.at("id").get<std::string>(),
          json.at("kind").get<std::string>(),
          task.step,
          json.at("port").get<std::string>(),
          task.subject,
          task.order,
          task.label,
          json.at("record").dump(),
          task.protocol};
}

store::ItemRow import_of(const Json& json) {
  store::TaskRow owner;
  owner.step = json.at("step").get<std::string>();
  owner.subject = json.at("subject").get<std::string>();
  owner.order = json.at("order").get<std::string>();
  owner.label = json.at("label").get<std::string>();
  return item_of(json, owner);
}

store::TaskRow task_of(const Json& json) {
  store::TaskRow task;
  task.key = json.at("key").get<std::string>();
  task.step = json.at("step").get<std::string>();
  task.protocol = json.at("protocol").get<std::string>();
  task.version = json.at("version").get<int>();
  task.subject = json.at("subject").get<std::string>();
  task.label = json.at("label").get<std::string>();
  task.order = json.at("order").get<std::string>();
  task.attempts = json.value("attempts", 1);
  task.seconds = json.value("seconds", 0.0);
  task.peak_mib = json.value("peak_mib", 0);
  task.threads = json.value("threads", 1);
  task.target = json.value("target", "");
  task.programs = json.value("programs", "");
  task.finished = json.value("finished", 0.0);
  return task;
}

}  // namespace

void write_marker(const fs::path& folder, const Marker& marker) {
  const auto& task = marker.task;
  Json outputs = Json::array(), imports = Json::array();
  for (const auto& item : marker.imports) imports.push_back(import_json(item));
  for (const auto& item : marker.outputs) outputs.push_back(item_json(item));
  Json json = {{"epoch", marker.epoch},
               {"project", marker.project},
               {"key", task.key},
               {"step", task.step},
               {"protocol", task.protocol},
               {"version", task.version},
               {"subject", task.subject},
               {"label", task.label},
               {"order", task.order},
               {"attempts", task.attempts},
               {"seconds", task.seconds},
               {"peak_mib", task.peak_mib},
               {"threads", task.threads},
               {"target", task.target},
               {"programs", task.programs},
               {"finished", task.finished},
               {"inputs", marker.inputs},
               {"imports", std::move(imports)},
               {"outputs", std::move(outputs)}};
  if (marker.batch >= 0) json.update({{"batch", marker.batch}, {"members", marker.members}});
  const auto path = folder / marker_name;
  std::ofstream out(path, std::ios::binary);
  out << json.dump() << "\n";
  out.close();
  if (!out) throw Error(ErrorCode::io, "{}: cannot be written", path.string());
}

std::optional<Marker> read_marker(const fs::path& folder) {
  try {
    const auto json = Json::parse(read_text(folder / marker_name));
    Marker marker;
    marker.epoch = json.at("epoch").get<std::int64_t>();
    marker.project = json.value("project", "");
    marker.task = task_of(json);
    marker.inputs = json.at("inputs").get<std::vector<std::string>>();
    for (const auto& import : json.at("imports")) marker.imports.push_back(import_of(import));
    for (const auto& output : json.at("outputs")) marker.outputs.push_back(item_of(output, marker.task));
    marker.batch = json.value("batch", -1);
    marker.members = json.value("members", std::vector<std::string>{});
    return marker;
  } catch (const std::exception&) {  // none, cut off by a power cut, or of a project made before there were markers
    return std::nullopt;
  }
}

bool is_task_folder(const std::string& name) {
  if (name.size() < 10 || name[name.size() - 9] != '_') return false;
  return name.find_last_not_of("0123456789abcdef") == name.size() - 9;
}

std::vector<fs::path> result_folders(const fs::path& project) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& step : fs::directory_iterator(project / "steps", error)) {
    if (!step.is_directory()) continue;
    for (const auto& folder : fs::directory_iterator(step))
      if (folder.is_directory() && is_task_folder(folder.path().filename().string())) folders.push_back(folder.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace frazil::engine
