// The report: one self-contained HTML file made from a snapshot of a project.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "frazil/params/json.hpp"

namespace frazil::report {

/// Writes reports of one project; keeps encoded pictures from one writing to the next, since only new ones change.
/// The snapshot is the engine's (engine/snapshot.hpp).
class Writer {
 public:
  /// @param project  folder to which the file names in records are relative
  Writer(std::filesystem::path project, std::string version);
  /// Replaces `path` atomically. Pictures that cannot be read are left out. @throws Error(io|resource)
  void write(const nlohmann::json& snapshot, const std::filesystem::path& path);

 private:
  [[nodiscard]] std::string picture(const std::string& reference, int side, int quality);
  [[nodiscard]] nlohmann::json micrographs(const nlohmann::json& snapshot);
  void add_pictures(nlohmann::json& m, bool detailed);
  [[nodiscard]] nlohmann::json classes(const nlohmann::json& snapshot);
  [[nodiscard]] nlohmann::json volumes(const nlohmann::json& snapshot);

  std::filesystem::path project_;
  std::string version_;
  std::map<std::string, std::string> pictures_;
};

}  // namespace frazil::report
