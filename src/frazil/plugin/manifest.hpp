// plugin.json: what an external program adds to this one, how it is found and how it is called. docs/guide/plugins.md
// tells its authors what may stand there.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::plugin {

/// Number of the contract between this program and plugins.
inline constexpr int contract = 1;

/// An external program and how its version is asked.
struct Program {
  std::string name;                  ///< as it is looked for on PATH
  std::string variable;              ///< environment variable with its folder or full path; wins over PATH
  std::vector<std::string> version;  ///< arguments that make it tell its version; empty: its content is hashed instead
  std::string pattern;               ///< regular expression whose first group is the version; empty: the first line
};

struct Resources {
  int memory_mib = 512;
  double time_limit_s = 0;  ///< 0: none
  int gpus = 0;             ///< reserved for each execution
  friend bool operator==(const Resources&, const Resources&) = default;
};

struct PluginProtocol {
  std::string name, title, help, cites;
  int version = 1;
  flow::Shape shape = flow::Shape::map;
  std::vector<flow::PortInfo> inputs, outputs;
  std::vector<FieldInfo> params;
  std::string json_port;
  Resources resources;
  Json command;  ///< list of arguments, or of such lists that run one after another; null: the adapter runs it
  Json results = Json::object();      ///< with a command: output port → template of its record
  Json same_count = Json::object();   ///< output port → input port: as many particles must come out as went in
  std::vector<std::string> programs;  ///< those it needs; empty: all of the plugin
  std::vector<flow::Need> needs;      ///< the least it can work on
  Json test = Json::object();         ///< "params" for `frazil plugin check`
};

struct Manifest {
  std::string id, version, title;
  std::filesystem::path folder;
  std::vector<Program> programs;
  std::vector<std::string> adapter;  ///< program and first arguments; {plugin} is the folder; empty: commands only
  std::vector<PluginProtocol> protocols;
  bool described = false;  ///< the protocols are what `ADAPTER describe` said
};

/// Reads FOLDER/plugin.json; a plugin with an adapter and without "protocols" is asked to describe itself.
/// `described`, if not null, is what it said when it was installed. @throws Error(bad_input) listing everything that is
/// wrong
[[nodiscard]] Manifest read_manifest(const std::filesystem::path& folder, const Json& described = nullptr);
/// The protocols of a description, as plugin.json or the adapter gives them. Appends problems.
[[nodiscard]] std::vector<PluginProtocol> parse_protocols(const Json& list, std::vector<std::string>& problems);
/// What `ADAPTER describe` prints. @throws Error(external) when it fails or prints no JSON
[[nodiscard]] Json ask_adapter(const Manifest& manifest);

/// Where a program is, and its version; found once in the life of this process.
struct FoundProgram {
  std::filesystem::path path;  ///< empty: not found
  std::string version;
};
[[nodiscard]] FoundProgram find(const Program& program, bool with_version);

/// Hash of the names and bytes of all files of a folder, in order of their names.
[[nodiscard]] std::string checksum(const std::filesystem::path& folder);

/// A protocol of the plugin as the engine runs it. The reuse key holds checksum and program versions.
[[nodiscard]] flow::Protocol make_protocol(const Manifest& manifest, const PluginProtocol& protocol,
                                           const std::string& plugin_checksum);

}  // namespace frazil::plugin
