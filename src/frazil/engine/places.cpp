#include "frazil/engine/places.hpp"

#include <unistd.h>

#include <algorithm>

#include "frazil/base/nearest.hpp"
#include "frazil/engine/watcher.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_listed = 2000;  ///< entries of a folder that are looked at for a hint

/// Subfolders of a folder, by name.
std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::size_t count = 0;
  for (auto it = fs::directory_iterator(folder, error);
       !error && it != fs::directory_iterator() && ++count < most_listed; it.increment(error))
    if (std::error_code ignored; it->is_directory(ignored)) names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Files of these kinds right in a folder.
bool holds_files(const fs::path& folder, const std::vector<std::string>& extensions) {
  std::error_code error;
  std::size_t count = 0;
  for (auto it = fs::directory_iterator(folder, error);
       !error && it != fs::directory_iterator() && ++count < most_listed; it.increment(error))
    if (std::find(extensions.begin(), extensions.end(), it->path().extension().string()) != extensions.end())
      return true;
  return false;
}

std::string file_problem(const std::string& file) {
  std::error_code error;
  if (fs::is_regular_file(file, error))
    return ::access(file.c_str(), R_OK) == 0 ? std::string() : file + ": may not be read by this user";
  if (fs::is_directory(file, error)) return file + ": a file is expected, this is a folder";
  if (file.find('~') != std::string::npos)
    return file + ": there is no such file (~ is not replaced behind a =; write the folder out)";
  std::vector<std::string> beside;
  for (auto it = fs::directory_iterator(fs::path(file).parent_path(), error);
       !error && it != fs::directory_iterator() && beside.size() < most_listed; it.increment(error))
    beside.push_back(it->path().filename().string());
  std::sort(beside.begin(), beside.end());
  const auto meant = nearest(fs::path(file).filename().string(), beside);
  return fmt::format("{}: there is no such file{}", file,
                     meant.empty() ? "" : ", did you mean " + (fs::path(file).parent_path() / meant).string() + "?");
}

/// Why a source cannot take files from where it looks; empty: it can.
std::string folder_problem(const fs::path& folder, const flow::Watch& watch, bool is_known) {
  std::error_code error;
  if (fs::is_directory(folder, error)) {
    if (::access(folder.c_str(), R_OK | X_OK) == 0) return {};
    return folder.string() + ": may not be read by this user";
  }
  if (is_known) return {};
  if (fs::exists(folder, error)) return folder.string() + ": a folder is expected, this is a file";
  return folder.string() + missing_folder_text(folder, watch.extensions);
}

}  // namespace

std::string missing_folder_text(const fs::path& folder, const std::vector<std::string>& extensions) {
  std::string text = ": there is no such folder";
  if (folder.string().find('~') != std::string::npos)
    return text + " (~ is not replaced behind a =; write the folder out)";
  std::error_code ignored;
  auto parent = folder.parent_path();
  auto wrong = folder;
  while (!parent.empty() && parent != parent.parent_path() && !fs::is_directory(parent, ignored)) {
    wrong = parent;
    parent = parent.parent_path();
  }
  const auto beside = folders_in(parent);
  if (const auto meant = nearest(wrong.filename().string(), beside); !meant.empty()) {
    const auto whole = wrong == folder ? parent / meant : parent / meant / folder.lexically_relative(wrong);
    return fmt::format("{}, did you mean {}?", text,
                       (fs::is_directory(whole, ignored) ? whole : parent / meant).string());
  }
  for (const auto& name : beside)
    if (holds_files(parent / name, extensions)) return text + "; there are such files in " + (parent / name).string();
  if (holds_files(parent, extensions)) return text + "; there are such files in " + parent.string();
  return wrong == folder ? text : text + " (nor " + wrong.string() + ")";
}

std::vector<flow::Problem> place_problems(const fs::path& project, const flow::Plan& plan,
                                          const std::vector<std::string>& known) {
  std::vector<flow::Problem> problems;
  for (const auto& [place, file] : flow::named_files(plan))
    if (auto problem = file_problem(file); !problem.empty()) problems.push_back({place, std::move(problem)});
  std::error_code error;
  const auto own = fs::weakly_canonical(project, error);
  for (const auto& step : plan.steps) {
    if (step.protocol->shape != flow::Shape::source) continue;
    const auto watch = step.protocol->source.watch(step.params);
    const auto watched = split_pattern(watch.files).first;
    const bool is_known = std::find(known.begin(), known.end(), step.name) != known.end();
    if (auto problem = folder_problem(watched, watch, is_known); !problem.empty())
      problems.push_back({step.name, std::move(problem)});
    const auto folder = fs::weakly_canonical(watched, error);
    if (const auto inside = folder.lexically_relative(own); !inside.empty() && *inside.begin() != "..")
      problems.push_back({step.name, fmt::format("{}: lies in the project itself: its results would be taken for files "
                                                 "to process; choose another folder for the project",
                                                 watched.string())});
  }
  return problems;
}

}  // namespace frazil::engine
