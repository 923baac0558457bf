#include "frazil/plugin/answer.hpp"

#include <algorithm>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/plugin/check.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

/// Numbers that the files may not say themselves, as the inputs have them: pixel size, optics.
Json settings_from(const flow::Records& inputs, const std::string& kind) {
  Json settings = Json::object();
  for (const auto& field : protocols::settable_fields(kind))
    for (const auto& [port, records] : inputs)
      for (const auto& record : records)
        for (const auto& key : {field.name, field.name + field.suffix})
          if (!settings.contains(field.name) && record.contains(key) && !record[key].is_null())
            settings[field.name] = record[key];
  return settings;
}

/// Names of the areas that the inputs are about.
std::vector<std::string> areas_of(const flow::Protocol& protocol, const flow::Records& inputs) {
  std::vector<std::string> areas;
  for (const auto& [port, records] : inputs) {
    const auto info = std::find_if(protocol.inputs.begin(), protocol.inputs.end(),
                                   [&, name = port](const flow::PortInfo& p) { return p.name == name; });
    for (const auto& record : records)
      if (info != protocol.inputs.end())
        if (const auto name = item_name(info->kind, record); !name.empty()) areas.push_back(protocols::area_name(name));
  }
  return areas;
}

/// The record of a file that is about the inputs; its only one, if it does not say what it is about.
Json choose(const std::vector<protocols::FileRecord>& records, const std::vector<std::string>& areas,
            const fs::path& file) {
  for (const auto& record : records)
    if (std::find(areas.begin(), areas.end(), record.area) != areas.end()) return record.record;
  if (records.size() == 1 && (areas.empty() || records.front().micrograph.empty())) return records.front().record;
  throw Error(ErrorCode::bad_input, "{}: holds {} records, none of them about {}", file.string(), records.size(),
              areas.empty() ? "this" : areas.front());
}

/// Copies the files of an answer, each once, under names of their own.
class Copier {
 public:
  explicit Copier(const flow::AnswerPlace& place) : place_(place) {}
  /// @return the name of the copy in its folder
  std::string copy(const fs::path& file) {
    if (const auto known = names_.find(file.string()); known != names_.end()) return known->second;
    auto name = file.filename().string();
    for (int i = 2; taken(name); ++i) name = fmt::format("{}_{}{}", file.stem().string(), i, file.extension().string());
    make_folders(place_.temporary);
    std::error_code error;
    fs::copy_file(file, place_.temporary / name, fs::copy_options::overwrite_existing, error);
    if (error) throw Error(ErrorCode::io, "{}: cannot be taken over: {}", file.string(), error.message());
    sync_path(place_.temporary / name);
    names_[file.string()] = name;
    return name;
  }

 private:
  [[nodiscard]] bool taken(const std::string& name) const {
    return std::any_of(names_.begin(), names_.end(), [&](const auto& entry) { return entry.second == name; });
  }
  const flow::AnswerPlace& place_;
  std::map<std::string, std::string> names_;
};

/// How the project names a file that the inputs name too; empty: they do not.
std::string input_name(const flow::Protocol& protocol, const flow::Records& inputs, const fs::path& project,
                       const fs::path& file) {
  for (const auto& [port, records] : inputs)
    for (const auto& info : protocol.inputs)
      if (info.name == port)
        for (const auto& record : records)
          for (const auto& name : files_of(info.kind, record))
            if (std::error_code none;
                fs::equivalent(project / name, file, none) || fs::path(name).filename() == file.filename())
              return name;
  return {};
}

/// What a file does not say of the image that it is about, as the input has it.
void name_the_image(const flow::Protocol& protocol, const flow::PortInfo& port, const flow::Records& inputs,
                    Json& record) {
  for (const auto& [name, list] : inputs)
    for (const auto& info : protocol.inputs)
      if (info.name == name && info.kind == Micrograph::kind && !list.empty() && port.kind != Micrograph::kind) {
        if (record.value("micrograph", "?").empty()) record["micrograph"] = list.front().value("path", "");
        if (record.contains("name")) record["name"] = list.front().value("name", record.value("name", ""));
      }
}

/// The record of one output with its files taken over and checked.
Json take(const flow::Protocol& protocol, const flow::PortInfo& port, Json record, const flow::Records& inputs,
          const flow::AnswerPlace& place, Copier& copier) {
  std::vector<std::string> copies;
  name_the_image(protocol, port, inputs, record);
  rename_files(port.kind, record, [&](const std::string& name) {
    if (auto known = input_name(protocol, inputs, place.project, name); !known.empty()) return known;
    copies.push_back(copier.copy(name));
    return copies.back();
  });
  record = complete(port.kind, std::move(record), place.temporary);
  if (port.kind == Coordinates::kind)
    for (const auto& [name, list] : inputs)
      for (const auto& input : list)
        if (input.value("nx", 0) > 0 && !copies.empty())
          check_inside(place.temporary / copies.front(), input["nx"].get<int>(), input.value("ny", 0));
  rename_files(port.kind, record, [&](const std::string& name) {
    return std::find(copies.begin(), copies.end(), name) == copies.end() ? name : place.reference + "/" + name;
  });
  return record;
}

/// Which file each output is in. Every output that must be there has one, and every file is asked for.
std::map<std::string, fs::path> share_out(const flow::Protocol& protocol, const std::vector<fs::path>& files) {
  std::vector<bool> used(files.size());
  std::map<std::string, fs::path> file_of;
  for (const auto& port : protocol.outputs) {
    std::size_t chosen = 0;
    while (chosen < files.size() && (used[chosen] || !protocols::may_hold(port.kind, files[chosen]))) ++chosen;
    if (chosen < files.size()) {
      used[chosen] = true;
      file_of[port.name] = files[chosen];
    } else if (!port.optional && !port.many) {
      throw Error(ErrorCode::bad_input, "no file gives {} ({}), which this answer must hold", port.name, port.kind);
    }
  }
  for (std::size_t i = 0; i < files.size(); ++i)
    if (!used[i])
      throw Error(ErrorCode::bad_input, "{}: holds nothing that {} gives", files[i].string(), protocol.name);
  return file_of;
}

}  // namespace

flow::Records read_answer(const flow::Protocol& protocol, const flow::Records& inputs,
                          const std::vector<fs::path>& files, const flow::AnswerPlace& place) {
  const auto file_of = share_out(protocol, files);
  const auto areas = areas_of(protocol, inputs);
  Copier copier(place);
  flow::Records answer;
  for (const auto& port : protocol.outputs) {
    const auto file = file_of.find(port.name);
    if (file == file_of.end()) continue;
    const auto records = protocols::records_from_file(port.kind, file->second, settings_from(inputs, port.kind));
    answer.emplace_back(port.name,
                        std::vector{take(protocol, port, choose(records, areas, file->second), inputs, place, copier)});
  }
  return answer;
}

}  // namespace frazil::plugin
