// A project packed for another place: its files with their hashes, versions, parameters and decisions, tables for other
// programs, and metadata that archives read (RO-Crate). A bundle is itself a project and opens where it is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::bundle {

struct ExportOptions {
  bool with_movies = false;      ///< copy the acquired files too instead of linking to them
  std::string program;           ///< version of this program
  Json plugins = Json::array();  ///< {"id", "version", "checksum", "programs"} of each plugin
};

/// What `export_project` wrote.
struct Exported {
  int files = 0, tables = 0;
  std::uint64_t bytes = 0;
};

/// Writes the bundle beside its name and renames it when it is whole. No engine may work on the project meanwhile.
/// @throws Error(resource) when one does, Error(bad_input) when there is something at `bundle` already
Exported export_project(const std::filesystem::path& project, const std::filesystem::path& bundle,
                        const flow::Registry& registry, const ExportOptions& options);

/// One thing that is not as the bundle's list says.
struct Difference {
  std::string path, text;
};
/// Compares every file with bundle.json. @throws Error(not_found) when the folder is no bundle
[[nodiscard]] std::vector<Difference> verify_bundle(const std::filesystem::path& bundle, int& files);

/// Lets the links to acquired files point into `folder`, where they keep their relative paths; checks the size of each
/// against what the project remembers. @return links set; `problems` names files that are missing or others
int repoint(const std::filesystem::path& project, const std::string& step, const std::filesystem::path& folder,
            std::vector<Difference>& problems);

}  // namespace frazil::bundle
