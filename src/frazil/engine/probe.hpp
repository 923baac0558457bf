// A start, tried: what cannot be, what contradicts, and what the first files tell; nothing is written.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::engine {

struct Probe {
  /// What a source has in its folder.
  struct Source {
    std::string step, files;  ///< files: folder or pattern
    int count = 0;            ///< files that fit
    std::string first;        ///< a file that could be read, and what is in it; empty: none
    Json record;              ///< of that file
  };
  /// A parameter that a file tells.
  struct Told {
    std::string parameter, unit;  ///< of the workflow, or step.parameter
    double value = 0;
    std::string from;
    bool is_taken = false;  ///< nothing is set, and this is used
  };
  std::vector<flow::Problem> problems;  ///< the run would fail, or do nothing
  std::vector<Finding> findings;        ///< what would be an alarm
  std::vector<Told> told;
  std::vector<Source> sources;
  double bytes_per_file = 0;  ///< that the steps write which know it; 0: not known
  double free_bytes = 0;      ///< on the disk of the project
};

/// Tries a start with these values (of parameters that are not given, the defaults). Looks at folders, reads the first
/// and the last files there and what parameters name.
/// @param project  where it will lie; need not be there
[[nodiscard]] Probe probe(const flow::Workflow& workflow, const Json& values, const flow::Registry& registry,
                          const std::filesystem::path& project);

/// {"problems": [{"place", "text"}], "findings": […], "told": […], "sources": […], "bytes_per_file", "free_bytes"}
[[nodiscard]] Json to_json(const Probe& probe);

}  // namespace frazil::engine
