// What a plugin sees of a task's files: absolute paths that exist, whatever the task runs in; and the way back.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::plugin {

/// Labels of STAR columns that hold the name of a file, perhaps with "N@" before it.
[[nodiscard]] bool names_a_file(std::string_view label);

/// The input side: records with absolute paths. STAR files are copied into the working folder with every file they name
/// as an absolute path, so that programs can be run anywhere.
class Stage {
 public:
  Stage(std::filesystem::path work, flow::Context& context);

  /// Ports with their records as the plugin gets them.
  [[nodiscard]] Json records(const std::vector<flow::PortInfo>& ports, const flow::Records& records);
  /// How this project names an absolute path of the inputs; empty: it is none of them.
  [[nodiscard]] std::string original(const std::filesystem::path& path) const;
  [[nodiscard]] const std::filesystem::path& work() const { return work_; }

 private:
  std::string stage(const std::string& reference);
  std::string resolve(const std::filesystem::path& star, const std::string& named);

  std::filesystem::path work_;
  flow::Context& context_;
  std::map<std::string, std::string> original_;  ///< absolute path → name in the project
  std::map<std::string, std::string> staged_;    ///< name in the project → path of its copy
};

/// The output side: files named by result records (and by STAR files among them) are checked and moved to their place,
/// names inside turned back into those of the project.
class Collector {
 public:
  Collector(const Stage& stage, flow::Context& context) : stage_(stage), context_(context) {}
  /// The record with names as the project wants them. @throws Error(external) when a file is missing, empty, outside
  /// the working folder, or holds values that are not finite
  [[nodiscard]] Json collect(std::string_view kind, Json record);

 private:
  std::string keep(const std::string& named, std::string_view kind);
  std::string keep_star(const std::filesystem::path& path, const std::string& name);
  std::string free_name(const std::filesystem::path& path);

  const Stage& stage_;
  flow::Context& context_;
  std::map<std::string, std::string> kept_;   ///< path in the working folder → name in the project
  std::map<std::string, std::string> names_;  ///< file name → path it was given to
};

}  // namespace frazil::plugin
