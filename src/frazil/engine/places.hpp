// Where a project and its sources lie: what cannot be there, and what may have been meant.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::engine {

/// Problems of what parameters name: files that are not there, folders of files that are not there or cannot be read,
/// and a folder of files that is the project itself.
/// @param known  steps that have taken files from their folder before: it may be away for a while
[[nodiscard]] std::vector<flow::Problem> place_problems(const std::filesystem::path& project, const flow::Plan& plan,
                                                        const std::vector<std::string>& known);

/// ": there is no such folder" with what may have been meant: a folder of nearly this name, or one beside it that
/// holds such files.
[[nodiscard]] std::string missing_folder_text(const std::filesystem::path& folder,
                                              const std::vector<std::string>& extensions);

}  // namespace frazil::engine
