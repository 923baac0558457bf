#include "frazil/plugin/installed.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/process.hpp"
#include "frazil/protocols/register.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

fs::path record_path(const std::string& id) { return plugins_folder() / (id + ".json"); }

void write_record(const Installed& plugin) {
  write_text(record_path(plugin.id), Json({{"id", plugin.id},
                                           {"version", plugin.version},
                                           {"checksum", plugin.checksum},
                                           {"source", plugin.source},
                                           {"enabled", plugin.enabled},
                                           {"described", plugin.described}})
                                             .dump(2) +
                                         "\n");
}

/// Names that another plugin or the program itself has taken already.
void refuse_taken_names(const Manifest& manifest) {
  for (const auto& protocol : manifest.protocols) {
    if (protocols::registry().find(protocol.name) != nullptr)
      throw Error(ErrorCode::bad_input, "plugin {}: frazil has a protocol {} itself", manifest.id, protocol.name);
    for (const auto& other : installed()) {
      if (other.id == manifest.id || !other.problem.empty()) continue;
      for (const auto& theirs : read_manifest(plugins_folder() / other.id, other.described).protocols)
        if (theirs.name == protocol.name)
          throw Error(ErrorCode::bad_input, "plugin {}: the plugin {} has a protocol {} already", manifest.id, other.id,
                      protocol.name);
    }
  }
}

class TemporaryFolder {
 public:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) { clear(); }
  ~TemporaryFolder() { clear(); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  void clear() const {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path path_;
};

void add_plugin(flow::Registry& registry, const Installed& plugin) {
  const auto manifest = read_manifest(plugins_folder() / plugin.id, plugin.described);
  for (const auto& protocol : manifest.protocols) {
    if (registry.find(protocol.name) != nullptr)
      log::warning("plugin {}: there is a protocol {} already; this one is left out", plugin.id, protocol.name);
    else
      registry.add(make_protocol(manifest, protocol, plugin.checksum));
  }
}

}  // namespace

fs::path plugins_folder() {
  if (const char* folder = std::getenv("FRAZIL_PLUGINS"); folder != nullptr && *folder != '\0')
    return fs::absolute(folder);
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0')
    return fs::path(data) / "frazil" / "plugins";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".local" / "share" / "frazil" / "plugins";
}

std::vector<Installed> installed() {
  std::vector<Installed> list;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(plugins_folder(), none)) {
    if (entry.path().extension() != ".json" || entry.path().filename().string().starts_with(".")) continue;
    const auto json = Json::parse(read_text(entry.path()), nullptr, false);
    if (!json.is_object()) continue;
    Installed plugin{json.value("id", ""),
                     json.value("version", ""),
                     json.value("checksum", ""),
                     json.value("source", ""),
                     json.value("enabled", true),
                     json.value("described", Json()),
                     {}};
    const auto folder = plugins_folder() / plugin.id;
    if (!fs::exists(folder / "plugin.json"))
      plugin.problem = "its folder is not there any more: install it again";
    else if (checksum(folder) != plugin.checksum)
      plugin.problem =
          "its files are not those that were installed: look why, then run `frazil plugin update " + plugin.id + "`";
    list.push_back(std::move(plugin));
  }
  std::sort(list.begin(), list.end(), [](const Installed& a, const Installed& b) { return a.id < b.id; });
  return list;
}

Installed find_installed(const std::string& id) {
  std::string names;
  for (auto& plugin : installed()) {
    if (plugin.id == id) return plugin;
    names += (names.empty() ? "" : ", ") + plugin.id;
  }
  throw Error(ErrorCode::not_found, "there is no plugin {} here; installed: {}", id, names.empty() ? "none" : names);
}

fs::path fetch(const std::string& source, const fs::path& into) {
  if (fs::is_directory(source) && !source.ends_with(".git")) return fs::canonical(source);
  const bool address =
      source.find("://") != std::string::npos || source.ends_with(".git") || source.find('@') != std::string::npos;
  if (!address)
    throw Error(ErrorCode::not_found, "{}: is neither a folder nor the address of a git repository", source);
  Command clone{{"git", "clone", "--quiet", "--depth", "1", "--", source, into.string()}};
  clone.environment = {{"GIT_TERMINAL_PROMPT", "0"}};
  clone.time_limit_s = 600;
  if (const auto done = run_program(clone); !done.ok())
    throw Error(ErrorCode::external, "git clone {}: {}: {}", source, done.how(), done.last_lines(3));
  return into;
}

void copy_folder(const fs::path& from, const fs::path& to) {
  make_folders(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    const auto name = entry.path().filename().string();
    if (name == ".git" || name == "__pycache__") continue;
    if (entry.is_directory())
      copy_folder(entry.path(), to / name);
    else
      fs::copy_file(entry.path(), to / name, fs::copy_options::overwrite_existing);
  }
}

Installed install(const std::string& source, bool replace) {
  make_folders(plugins_folder());
  const TemporaryFolder clone(plugins_folder() / fmt::format(".clone-{}", ::getpid())),
      copy(plugins_folder() / fmt::format(".new-{}", ::getpid()));
  const auto from = fetch(source, clone.path());
  copy_folder(from, copy.path());
  const auto manifest = read_manifest(copy.path());
  if (fs::exists(record_path(manifest.id)) && !replace)
    throw Error(ErrorCode::bad_input,
                "the plugin {} is installed already: `frazil plugin update {}`, or remove it first", manifest.id,
                manifest.id);
  refuse_taken_names(manifest);
  Installed plugin{manifest.id,
                   manifest.version,
                   checksum(copy.path()),
                   from == clone.path() ? source : from.string(),
                   true,
                   nullptr,
                   {}};
  if (manifest.described) plugin.described = ask_adapter(manifest).at("protocols");
  if (replace && fs::exists(record_path(manifest.id))) plugin.enabled = find_installed(manifest.id).enabled;
  const TemporaryFolder old(plugins_folder() / fmt::format(".old-{}", ::getpid()));
  if (fs::exists(plugins_folder() / manifest.id)) fs::rename(plugins_folder() / manifest.id, old.path());
  fs::rename(copy.path(), plugins_folder() / manifest.id);
  write_record(plugin);
  return plugin;
}

void remove(const std::string& id) {
  (void)find_installed(id);
  fs::remove(record_path(id));
  fs::remove_all(plugins_folder() / id);
}

void enable(const std::string& id, bool on) {
  auto plugin = find_installed(id);
  plugin.enabled = on;
  write_record(plugin);
}

const flow::Registry& registry() {
  static const flow::Registry all = [] {
    flow::Registry r = protocols::registry();
    for (const auto& plugin : installed()) {
      if (!plugin.enabled) continue;
      try {
        if (!plugin.problem.empty()) throw Error(ErrorCode::bad_input, "{}", plugin.problem);
        add_plugin(r, plugin);
      } catch (const std::exception& error) {
        log::warning("the plugin {} is not used: {}", plugin.id, error.what());
      }
    }
    return r;
  }();
  return all;
}

}  // namespace frazil::plugin
