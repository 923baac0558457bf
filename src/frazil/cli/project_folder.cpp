#include "frazil/cli/project_folder.hpp"

#include <algorithm>

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

bool is_project(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "project.frazil", ignored) || fs::exists(folder / "engine.lock", ignored);
}

std::vector<fs::path> projects_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (std::error_code ignored; it->is_directory(ignored) && is_project(it->path())) found.push_back(it->path());
  std::sort(found.begin(), found.end());
  return found;
}

/// Where we are; a folder that was removed meanwhile has no path.
fs::path here() {
  std::error_code error;
  const auto path = fs::current_path(error);
  if (error) throw Error(ErrorCode::not_found, "the current folder is not there any more: go to another one");
  return path;
}

}  // namespace

FieldInfo project_option() {
  return option("project", "string", "Folder of the project; may be left out where there is only one");
}

fs::path project_of(Parsed& parsed, const Usage& usage, bool takes_folder) {
  auto& words = parsed.positional;
  if (!parsed.has("project") && takes_folder && !words.empty()) {
    parsed.values["project"] = words.front();
    words.erase(words.begin());
  }
  if (parsed.has("project")) {
    const fs::path named = parsed.text("project");
    const auto project = (named.is_absolute() ? named : here() / named).lexically_normal();
    return project.has_filename() ? project : project.parent_path();
  }
  if (is_project(here())) return here();
  const auto found = projects_in(here());
  if (found.size() == 1) return found.front();
  if (found.empty()) throw misuse(usage, "which project? There is none in this folder: say --project DIR");
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), 8); ++i)
    names += (i == 0 ? "" : ", ") + found[i].filename().string();
  throw misuse(usage, fmt::format("which project? There are {} in this folder: {}{}", found.size(), names,
                                  found.size() > 8 ? ", …" : ""));
}

}  // namespace frazil::cli
