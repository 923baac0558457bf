// The plugins installed for this user: a folder a plugin, and beside it what was recorded when an administrator
// installed it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/plugin/manifest.hpp"

namespace frazil::plugin {

struct Installed {
  std::string id, version, checksum;
  std::string source;  ///< folder or git address it was taken from
  bool enabled = true;
  Json described;       ///< protocols as the adapter told them; null: plugin.json lists them
  std::string problem;  ///< why it is not used; empty: it is
};

/// $FRAZIL_PLUGINS, else frazil/plugins in $XDG_DATA_HOME or ~/.local/share.
[[nodiscard]] std::filesystem::path plugins_folder();
[[nodiscard]] std::vector<Installed> installed();
/// @throws Error(not_found) naming those that are
[[nodiscard]] Installed find_installed(const std::string& id);

/// Copies a plugin from a folder or git address, checked and with its checksum recorded. @throws Error when it is none,
/// or is installed already and `replace` is not set, or one of its protocols has the name of another
Installed install(const std::string& source, bool replace);
void remove(const std::string& id);
void enable(const std::string& id, bool on);

/// The protocols of the program and of all enabled plugins whose files are as they were installed. Others are named on
/// standard error, once, and left out.
[[nodiscard]] const flow::Registry& registry();

/// A folder or git repository, as a local folder: cloned into `into` when it is an address. @throws Error(external)
[[nodiscard]] std::filesystem::path fetch(const std::string& source, const std::filesystem::path& into);
/// Copies a folder without .git and __pycache__.
void copy_folder(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace frazil::plugin
