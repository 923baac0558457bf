#include "frazil/plugin/manifest.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/pattern.hpp"
#include "frazil/base/process.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/params/values.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

constexpr double ask_limit_s = 20;

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> texts_of(const Json& json, const char* key, const std::string& place,
                                  std::vector<std::string>& problems) {
  std::vector<std::string> list;
  const auto found = json.find(key);
  if (found == json.end()) return list;
  if (!found->is_array()) {
    problems.push_back(place + key + " must be a list of texts");
    return list;
  }
  for (const auto& entry : *found) {
    if (entry.is_string())
      list.push_back(entry.get<std::string>());
    else
      problems.push_back(place + key + " must be a list of texts, and holds " + entry.dump());
  }
  return list;
}

void refuse_unknown(const Json& json, std::initializer_list<std::string_view> known, const std::string& place,
                    std::vector<std::string>& problems) {
  for (const auto& [key, value] : json.items())
    if (std::find(known.begin(), known.end(), key) == known.end() && !key.starts_with("_"))
      problems.push_back(place + "\"" + key + "\" is not known");
}

bool is_name(const std::string& text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos;
}

std::vector<flow::PortInfo> parse_ports(const Json& json, const char* key, const std::string& place,
                                        std::vector<std::string>& problems) {
  std::vector<flow::PortInfo> ports;
  for (const auto& entry : json.value(key, Json::array())) {
    if (!entry.is_object()) {
      problems.push_back(place + key + " must be a list of objects with name and kind");
      continue;
    }
    refuse_unknown(entry, {"name", "kind", "optional", "many"}, place + key + ": ", problems);
    flow::PortInfo port{text_of(entry, "name"), text_of(entry, "kind"), entry.value("optional", Json(false)) == true,
                        entry.value("many", Json(false)) == true};
    if (port.kind.empty()) problems.push_back(place + key + ": a port needs a kind, e.g. Micrograph");
    if (const auto* kind = find_kind(port.kind)) port.fields = &kind->fields;
    if (port.name.empty() && !port.kind.empty()) port.name = flow::default_port(port.kind);
    ports.push_back(std::move(port));
  }
  return ports;
}

Resources parse_resources(const Json& json, Resources from) {
  const auto resources = json.value("resources", Json::object());
  if (!resources.is_object()) return from;
  if (resources.contains("memory_mib") && resources["memory_mib"].is_number())
    from.memory_mib = resources["memory_mib"].get<int>();
  if (resources.contains("time_limit_s") && resources["time_limit_s"].is_number())
    from.time_limit_s = resources["time_limit_s"].get<double>();
  if (resources.contains("gpus") && resources["gpus"].is_number_integer())
    from.gpus = std::max(0, resources["gpus"].get<int>());
  return from;
}

/// {"particles": 50}: at least so many particles on that port, or items of any other kind.
std::vector<flow::Need> parse_needs(const Json& json, const PluginProtocol& protocol, const std::string& place,
                                    std::vector<std::string>& problems) {
  std::vector<flow::Need> needs;
  const auto object = json.value("needs", Json::object());
  if (!object.is_object())
    problems.push_back(place + "needs must be an object of port: number");
  else
    for (const auto& [port, number] : object.items()) {
      const auto input = std::find_if(protocol.inputs.begin(), protocol.inputs.end(),
                                      [&, name = port](const flow::PortInfo& p) { return p.name == name; });
      if (input == protocol.inputs.end() || !number.is_number())
        problems.push_back(place + "needs: " + port + " must be an input and stand for a number");
      else if (input->kind == "Particles")
        needs.push_back({port, "count", number.get<double>(), "particles"});
      else
        needs.push_back({port, "", number.get<double>(), port});
    }
  return needs;
}

PluginProtocol parse_protocol(const Json& json, std::vector<std::string>& problems) {
  PluginProtocol protocol;
  protocol.name = text_of(json, "name");
  const auto place = "protocol " + (protocol.name.empty() ? std::string("without name") : protocol.name) + ": ";
  if (!is_name(protocol.name)) problems.push_back(place + "a name holds small letters, digits, - and _ only");
  refuse_unknown(json,
                 {"name", "title", "help", "cites", "version", "shape", "inputs", "outputs", "parameters", "json_port",
                  "resources", "command", "results", "same_count", "programs", "needs", "test"},
                 place, problems);
  protocol.title = text_of(json, "title");
  protocol.help = text_of(json, "help");
  protocol.cites = text_of(json, "cites");
  if (const auto version = json.value("version", Json(1)); version.is_number_integer())
    protocol.version = version.get<int>();
  const auto shape = json.value("shape", Json("map"));
  if (shape == "filter")
    protocol.shape = flow::Shape::filter;
  else if (shape == "fold")
    protocol.shape = flow::Shape::fold;
  else if (shape != "map")
    problems.push_back(place + "shape must be map, filter or fold, not " + shape.dump());
  protocol.inputs = parse_ports(json, "inputs", place, problems);
  if (protocol.inputs.empty()) problems.push_back(place + "needs inputs");
  if (protocol.shape == flow::Shape::filter)
    protocol.outputs = flow::filter_outputs(protocol.inputs);
  else
    protocol.outputs = parse_ports(json, "outputs", place, problems);
  if (protocol.outputs.empty()) problems.push_back(place + "needs outputs");
  for (const auto& parameter : json.value("parameters", Json::array())) {
    std::vector<std::string> found;
    protocol.params.push_back(field_from_json(parameter, found));
    for (const auto& problem : found) problems.push_back(place + problem);
  }
  protocol.json_port = text_of(json, "json_port");
  if (protocol.json_port.empty())
    protocol.json_port = protocol.shape == flow::Shape::filter ? "decision"
                         : protocol.outputs.empty()            ? ""
                                                               : protocol.outputs.front().name;
  protocol.command = json.value("command", Json());
  if (!protocol.command.is_null() && !protocol.command.is_array())
    problems.push_back(place + "command must be a list of arguments; nothing goes through a shell");
  protocol.results = json.value("results", Json::object());
  protocol.same_count = json.value("same_count", Json::object());
  protocol.programs = texts_of(json, "programs", place, problems);
  protocol.needs = parse_needs(json, protocol, place, problems);
  protocol.test = json.value("test", Json::object());
  protocol.resources = parse_resources(json, {});
  return protocol;
}

std::vector<Program> parse_programs(const Json& json, std::vector<std::string>& problems) {
  std::vector<Program> programs;
  for (const auto& entry : json.value("programs", Json::array())) {
    if (!entry.is_object()) {
      problems.emplace_back("programs must be a list of objects with a name");
      continue;
    }
    refuse_unknown(entry, {"name", "variable", "version", "pattern"}, "programs: ", problems);
    Program program{text_of(entry, "name"), text_of(entry, "variable"),
                    texts_of(entry, "version", "programs: ", problems), text_of(entry, "pattern")};
    if (program.name.empty()) problems.emplace_back("programs: a program needs a name");
    if (!is_pattern(program.pattern))
      problems.push_back("programs: \"" + program.pattern + "\" is no regular expression");
    programs.push_back(std::move(program));
  }
  return programs;
}

std::string ask_version(const Program& program, const fs::path& path) {
  if (program.version.empty()) return "content " + hash_file(path);
  Command command{{path.string()}};
  command.arguments.insert(command.arguments.end(), program.version.begin(), program.version.end());
  command.time_limit_s = ask_limit_s;
  const auto done = run_program(command);
  if (program.pattern.empty()) return done.output.substr(0, done.output.find('\n'));
  if (auto version = find_group(done.output, program.pattern)) return *version;
  throw Error(ErrorCode::external, "{}: its version was not understood; it said: {}", path.string(),
              done.last_lines(2));
}

}  // namespace

std::vector<PluginProtocol> parse_protocols(const Json& list, std::vector<std::string>& problems) {
  std::vector<PluginProtocol> protocols;
  if (!list.is_array()) {
    problems.emplace_back("protocols must be a list");
    return protocols;
  }
  for (const auto& entry : list) {
    if (!entry.is_object()) {
      problems.emplace_back("protocols must be a list of objects");
      continue;
    }
    protocols.push_back(parse_protocol(entry, problems));
    for (std::size_t i = 0; i + 1 < protocols.size(); ++i)
      if (protocols[i].name == protocols.back().name)
        problems.push_back("protocol " + protocols.back().name + " stands there twice");
  }
  return protocols;
}

Manifest read_manifest(const fs::path& folder, const Json& described) {
  const auto path = folder / "plugin.json";
  if (!fs::exists(path)) throw Error(ErrorCode::not_found, "{}: is no plugin, it has no plugin.json", folder.string());
  const auto json = Json::parse(read_text(path), nullptr, false);
  if (!json.is_object()) throw Error(ErrorCode::bad_input, "{}: expected a JSON object", path.string());
  std::vector<std::string> problems;
  refuse_unknown(json,
                 {"id", "version", "title", "contract", "programs", "adapter", "protocols", "resources", "licence"}, "",
                 problems);
  Manifest manifest;
  manifest.folder = fs::canonical(folder);
  manifest.id = text_of(json, "id");
  manifest.version = text_of(json, "version");
  manifest.title = text_of(json, "title");
  if (!is_name(manifest.id)) problems.emplace_back("id must be a name of small letters, digits, - and _");
  if (manifest.version.empty()) problems.emplace_back("version is missing");
  if (json.value("contract", Json(contract)) != contract)
    problems.push_back(fmt::format("contract must be {}, the one this program knows", contract));
  manifest.programs = parse_programs(json, problems);
  manifest.adapter = texts_of(json, "adapter", "", problems);
  Json list = json.value("protocols", Json());
  if (list.is_null() && !manifest.adapter.empty() && problems.empty()) {
    list = described.is_null() ? ask_adapter(manifest).value("protocols", Json()) : described;
    manifest.described = true;
  }
  manifest.protocols = parse_protocols(list, problems);
  for (auto& protocol : manifest.protocols) {
    if (protocol.command.is_null() && manifest.adapter.empty())
      problems.push_back("protocol " + protocol.name + ": has no command, and the plugin no adapter");
    if (protocol.resources == Resources{}) protocol.resources = parse_resources(json, {});
  }
  if (!problems.empty()) {
    std::string all;
    for (const auto& problem : problems) all += "\n  " + problem;
    throw Error(ErrorCode::bad_input, "{}:{}", path.string(), all);
  }
  return manifest;
}

Json ask_adapter(const Manifest& manifest) {
  Command command;
  for (auto argument : manifest.adapter) {
    if (const auto at = argument.find("{plugin}"); at != std::string::npos)
      argument.replace(at, 8, manifest.folder.string());
    command.arguments.push_back(std::move(argument));
  }
  command.arguments.emplace_back("describe");
  command.time_limit_s = ask_limit_s;
  const auto done = run_program(command);
  if (!done.ok()) throw Error(ErrorCode::external, "{} describe: {}: {}", manifest.id, done.how(), done.last_lines());
  auto json = Json::parse(done.output, nullptr, false);
  if (!json.is_object())
    throw Error(ErrorCode::external, "{} describe: expected a JSON object, it printed: {}", manifest.id,
                done.last_lines(2));
  return json;
}

FoundProgram find(const Program& program, bool with_version) {
  static std::mutex mutex;
  static std::map<std::string, std::string> versions;  // one question a program in the life of this process
  FoundProgram found;
  const char* given = program.variable.empty() ? nullptr : std::getenv(program.variable.c_str());
  if (given != nullptr && *given != '\0') {
    const fs::path place = given;
    if (const auto path = find_program((fs::is_directory(place) ? place / program.name : place).string()))
      found.path = *path;
  } else if (const auto path = find_program(program.name)) {
    found.path = *path;
  }
  if (found.path.empty() || !with_version) return found;
  const std::lock_guard lock(mutex);
  auto& version = versions[found.path.string()];
  if (version.empty()) version = ask_version(program, found.path);
  found.version = version;
  return found;
}

std::string checksum(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
    const auto name = it->path().filename().string();
    if (it->is_directory() && (name == ".git" || name == "__pycache__"))
      it.disable_recursion_pending();
    else if (it->is_regular_file())
      files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  Hasher hasher;
  for (const auto& file : files) {
    hasher.add(fs::relative(file, folder).string());
    hasher.add(hash_file(file));
    hasher.add((fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none ? "x" : "-");
  }
  return hasher.hex();
}

}  // namespace frazil::plugin
