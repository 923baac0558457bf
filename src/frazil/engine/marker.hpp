// The small file in every result folder that says which task made it: enough to find results again without a database.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frazil/store/project.hpp"

namespace frazil::engine {

/// Name of that file in the folder.
inline constexpr const char* marker_name = ".task.json";

/// What a result folder says of itself.
struct Marker {
  std::int64_t epoch = 0;               ///< of the engine that wrote it
  std::string project = {};             ///< identity of its project; empty: made before projects had one
  store::TaskRow task;                  ///< without numbers: inputs and outputs are given below
  std::vector<std::string> inputs;      ///< ids of its input items
  std::vector<store::ItemRow> imports;  ///< of these, the ones that sources made: no folder tells of them
  std::vector<store::ItemRow> outputs;  ///< in order; their step, subject, order and label are the task's
  int batch = -1;                       ///< of a fold: number of the list that it was made from
  std::vector<std::string> members;     ///< of that list: subject ids
};

/// Writes the marker into a folder; not synced. @throws Error(io|resource)
void write_marker(const std::filesystem::path& folder, const Marker& marker);
/// The marker of a folder; empty: it has none that can be read.
[[nodiscard]] std::optional<Marker> read_marker(const std::filesystem::path& folder);

/// "mic_0001_0a1b2c3d": the name of a folder that a task made.
[[nodiscard]] bool is_task_folder(const std::string& name);
/// All result folders of a project, PROJECT/steps/<step>/<folder>, sorted.
[[nodiscard]] std::vector<std::filesystem::path> result_folders(const std::filesystem::path& project);

}  // namespace frazil::engine
