#include "frazil/cli/templates.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/nearest.hpp"
#include "frazil/base/process.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/flow/settings.hpp"
#include "frazil/flow/workflow.hpp"
#include "frazil/plugin/installed.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

/// $FRAZIL_TEMPLATES, else frazil/templates in $XDG_DATA_HOME or ~/.local/share.
fs::path templates_folder() {
  if (const char* folder = std::getenv("FRAZIL_TEMPLATES"); folder != nullptr && *folder != '\0')
    return fs::absolute(folder);
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0')
    return fs::path(data) / "frazil" / "templates";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".local" / "share" / "frazil" / "templates";
}

/// A template that was added: NAME.json, and where it came from in NAME.source.
struct Added {
  std::string name, title, source, checksum;
};

/// Of a file that may be no workflow.
std::string title_of(const Json& json) {
  const bool has_title = json.is_object() && json.contains("title") && json["title"].is_string();
  return has_title ? json["title"].get<std::string>() : "";
}

std::vector<Added> added_templates() {
  std::vector<Added> list;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(templates_folder(), none)) {
    if (entry.path().extension() != ".json") continue;
    const auto text = read_text(entry.path());
    const auto json = Json::parse(text, nullptr, false);
    const auto source = fs::path(entry.path()).replace_extension(".source");
    list.push_back(
        {entry.path().stem().string(), title_of(json), fs::exists(source) ? read_text(source) : "", hash_of({text})});
  }
  std::sort(list.begin(), list.end(), [](const Added& a, const Added& b) { return a.name < b.name; });
  return list;
}

/// The workflow in a file, checked. @throws Error(bad_input) with all its problems
flow::Workflow checked(const fs::path& file) {
  std::vector<flow::Problem> problems;
  auto workflow = flow::parse_workflow(flow::inherit(read_text(file), plugin::registry(), problems), problems);
  (void)flow::make_plan(workflow, plugin::registry(), Json::object(), problems, true);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}:\n{}", file.string(), flow::describe(problems));
  if (workflow.name.empty() ||
      workflow.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string::npos)
    throw Error(ErrorCode::bad_input, "{}: a template's name holds small letters, digits, - and _, not \"{}\"",
                file.string(), workflow.name);
  return workflow;
}

class Clone {  // a git repository for a moment
 public:
  Clone() : path_(fs::temp_directory_path() / fmt::format("frazil-templates-{}", ::getpid())) {}
  ~Clone() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Clone(const Clone&) = delete;
  Clone& operator=(const Clone&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void git(const fs::path& folder, std::vector<std::string> arguments) {
  frazil::Command command;
  command.arguments = {"git", "-C", folder.string()};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  command.environment = {{"GIT_TERMINAL_PROMPT", "0"}};
  command.time_limit_s = 600;
  if (const auto done = run_program(command); !done.ok())
    throw Error(ErrorCode::external, "git {}: {}: {}", arguments.front(), done.how(), done.last_lines(3));
}

void add_file(const fs::path& file, const std::string& source) {
  const auto workflow = checked(file);
  for (const auto& shipped : shipped_templates())
    if (shipped.name == workflow.name)
      throw Error(ErrorCode::bad_input, "{}: frazil comes with a template {} itself; give yours another name",
                  file.string(), workflow.name);
  make_folders(templates_folder());
  write_text(templates_folder() / (workflow.name + ".json"), workflow.text);
  write_text(templates_folder() / (workflow.name + ".source"), source);
  std::cout << fmt::format("{:18} checksum {}\n", workflow.name, hash_of({workflow.text}));
}

/// Every workflow of a file, a folder or a git repository; other JSON files are passed over.
int add(const std::string& source) {
  if (fs::is_regular_file(source)) {
    add_file(source, fs::canonical(source).string());
    return ok;
  }
  const Clone clone;
  const auto folder = plugin::fetch(source, clone.path());
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json" && Json::parse(read_text(entry.path()), nullptr, false).contains("steps"))
      files.push_back(entry.path());
  if (files.empty()) throw Error(ErrorCode::not_found, "{}: holds no workflow (a .json file with \"steps\")", source);
  std::sort(files.begin(), files.end());
  for (const auto& file : files) (void)checked(file);  // all or none
  for (const auto& file : files) add_file(file, folder == clone.path() ? source : folder.string());
  return ok;
}

int publish(const std::string& name, const std::string& to) {
  const auto text = template_text(name);
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(text, problems);
  (void)flow::make_plan(workflow, plugin::registry(), Json::object(), problems, true);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}:\n{}", name, flow::describe(problems));
  const Clone clone;
  const auto folder = plugin::fetch(to, clone.path());
  const auto file = workflow.name + ".json";
  const bool same = fs::exists(folder / file) && read_text(folder / file) == text;
  if (!same) write_text(folder / file, text);
  if (folder == clone.path() && !same) {
    git(folder, {"add", "--", file});
    git(folder, {"commit", "--quiet", "-m", "template " + workflow.name});
    git(folder, {"push", "--quiet", "origin", "HEAD"});
  }
  std::cout << fmt::format("{} {} {}\nchecksum {}\n", workflow.name, same ? "was there already in" : "published to", to,
                           hash_of({text}));
  return ok;
}

int list_templates(bool json) {
  const auto print = [&](std::string_view name, const std::string& title, const std::string& checksum,
                         const std::string& source) {
    if (json)
      std::cout << Json({{"name", name}, {"title", title}, {"checksum", checksum}, {"source", source}}).dump() << "\n";
    else
      std::cout << fmt::format("{:18} {}  {}{}\n", name, checksum, title,
                               source.empty() ? "" : "  (from " + source + ")");
  };
  for (const auto& shipped : shipped_templates())
    print(shipped.name, Json::parse(shipped.text).value("title", ""),
          hash_of({template_text(std::string(shipped.name))}), "");
  for (const auto& added : added_templates()) print(added.name, added.title, added.checksum, added.source);
  return ok;
}

int remove(const std::string& name) {
  if (!fs::remove(templates_folder() / (name + ".json")))
    throw Error(ErrorCode::not_found, "{}: there is no added template of that name", name);
  fs::remove(templates_folder() / (name + ".source"));
  return ok;
}

}  // namespace

namespace {

/// The text of a file or template as it was written.
std::string written_text(const std::string& name_or_file) {
  if (fs::is_regular_file(name_or_file)) return read_text(name_or_file);
  std::vector<std::string> names;
  for (const auto& shipped : shipped_templates()) {
    if (shipped.name == name_or_file) return std::string(shipped.text);
    names.emplace_back(shipped.name);
  }
  for (const auto& added : added_templates()) {
    if (added.name == name_or_file) return read_text(templates_folder() / (added.name + ".json"));
    names.push_back(added.name);
  }
  throw Error(ErrorCode::not_found, "{}: there is no such file, and no template of that name{} (there are {})",
              name_or_file, did_you_mean(name_or_file, names), fmt::join(names, ", "));
}

/// What a template may be given, as a table for people.
void print_parameters(const std::string& name) {
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(template_text(name), problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}:\n{}", name, flow::describe(problems));
  std::cout << fmt::format("{}: {}\n{}", workflow.name, workflow.title,
                           workflow.help.empty() ? "" : workflow.help + "\n");
  for (const auto& parameter : workflow.parameters) {
    std::string notes = parameter.title;
    if (!parameter.help.empty() && parameter.help != parameter.title) notes += ": " + parameter.help;
    if (!parameter.unit.empty()) notes += " [" + parameter.unit + "]";
    if (!parameter.choices.empty()) notes += fmt::format(" ({})", fmt::join(parameter.choices, ", "));
    if (parameter.required)
      notes += " (required)";
    else if (const auto value = flow::value_text(parameter.default_value); value != "not set")
      notes += fmt::format(" (default {})", value);
    std::cout << fmt::format("  {:24} {}\n", parameter.name, notes);
  }
  std::cout << fmt::format(
      "\nfrazil run {} --project DIR --set NAME=VALUE…; parameters of single steps are set as STEP.NAME "
      "(frazil workflow show {} lists the steps)\nfrazil template show {} --json prints the workflow, to "
      "be copied and edited\n",
      name, name, name);
}

}  // namespace

std::string template_text(const std::string& name_or_file) {
  std::vector<flow::Problem> problems;
  auto text = flow::inherit(written_text(name_or_file), plugin::registry(), problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}:\n{}", name_or_file, flow::describe(problems));
  return text;
}

std::string_view shipped_scene(std::string_view name) {
  for (const auto& shipped : shipped_scenes())
    if (shipped.name == name) return shipped.text;
  throw Error(ErrorCode::not_found, "there is no shipped scene {}", name);
}

int template_command(Arguments arguments) {
  const auto parsed = parse(arguments, {option("json", "boolean", "Print JSON"),
                                        option("table", "boolean", "show: the parameters, also where no person reads"),
                                        option("help", "boolean", "This text")});
  const auto& words = parsed.positional;
  const auto verb = words.empty() ? std::string() : words[0];
  if (verb == "list" && words.size() == 1) return list_templates(parsed.values.value("json", false));
  if (verb == "show" && words.size() == 2) {
    // Into a file or another program goes the workflow itself, to be edited.
    const bool for_people = parsed.values.value("table", ::isatty(STDOUT_FILENO) != 0);
    if (parsed.values.value("json", !for_people))
      std::cout << template_text(words[1]);
    else
      print_parameters(words[1]);
    return ok;
  }
  if (verb == "add" && words.size() == 2) return add(words[1]);
  if (verb == "remove" && words.size() == 2) return remove(words[1]);
  if (verb == "publish" && words.size() == 3) return publish(words[1], words[2]);
  std::cout
      << "frazil template list [--json]\n"
         "frazil template show NAME                            its parameters; with --json, or into a file, the "
         "workflow\n"
         "frazil template add FILE|FOLDER|GIT-URL              every workflow there; needs its plugins installed\n"
         "frazil template publish NAME|FILE FOLDER|GIT-URL     for others to add\n"
         "frazil template remove NAME\n";
  return parsed.has("help") ? ok : bad_usage;
}

}  // namespace frazil::cli
