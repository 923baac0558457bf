#include "frazil/cli/plugins.hpp"

#include <unistd.h>

#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/plugin/conformance.hpp"
#include "frazil/plugin/installed.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view usage =
    "frazil plugin list [--json]\n"
    "frazil plugin check NAME|FOLDER [--json]     tries everything the contract asks for, on made-up data\n"
    "frazil plugin install FOLDER|GIT-URL         an administrator's act: a plugin runs with your rights\n"
    "frazil plugin update NAME                    from where it was installed\n"
    "frazil plugin remove|enable|disable NAME\n";

Json describe_installed(const plugin::Installed& installed) {
  Json entry = {{"id", installed.id},         {"version", installed.version}, {"checksum", installed.checksum},
                {"source", installed.source}, {"enabled", installed.enabled}, {"problem", installed.problem},
                {"protocols", Json::array()}, {"programs", Json::array()}};
  if (!installed.problem.empty()) return entry;
  const auto manifest = plugin::read_manifest(plugin::plugins_folder() / installed.id, installed.described);
  entry["title"] = manifest.title;
  for (const auto& protocol : manifest.protocols) entry["protocols"].push_back(protocol.name);
  for (const auto& program : manifest.programs) {
    const auto found = plugin::find(program, true);
    entry["programs"].push_back({{"name", program.name}, {"path", found.path.string()}, {"version", found.version}});
  }
  return entry;
}

int list_installed(bool json) {
  for (const auto& installed : plugin::installed()) {
    const auto entry = describe_installed(installed);
    if (json) {
      std::cout << entry.dump() << "\n";
      continue;
    }
    std::cout << fmt::format("{:14} {:10} {}{}  {}\n", installed.id, installed.version, installed.checksum,
                             installed.enabled ? "" : "  disabled", entry.value("title", ""));
    if (!installed.problem.empty()) std::cout << "    not used: " << installed.problem << "\n";
    for (const auto& program : entry["programs"])
      std::cout << fmt::format("    program {} {}\n", program.value("name", ""),
                               program.value("path", "").empty()
                                   ? "is not on this machine"
                                   : program.value("version", "") + " in " + program.value("path", ""));
    for (const auto& protocol : entry["protocols"]) std::cout << "    protocol " << protocol.get<std::string>() << "\n";
  }
  return ok;
}

int check(const std::string& name, bool json) {
  const fs::path folder = fs::exists(fs::path(name) / "plugin.json")
                              ? fs::path(name)
                              : plugin::plugins_folder() / plugin::find_installed(name).id;
  const auto scratch = fs::temp_directory_path() / fmt::format("frazil-plugin-check-{}", ::getpid());
  make_folders(scratch);
  const auto findings = plugin::check_conformance(fs::canonical(folder), scratch);
  std::error_code ignored;
  fs::remove_all(scratch, ignored);
  int failed = 0;
  for (const auto& finding : findings) {
    using State = plugin::Finding::State;
    failed += finding.state == State::failed ? 1 : 0;
    const auto* state = finding.state == State::ok ? "ok" : finding.state == State::failed ? "FAILS" : "skipped";
    if (json)
      std::cout << Json({{"check", finding.what}, {"state", state}, {"remark", finding.remark}}).dump() << "\n";
    else
      std::cout << fmt::format("{:8} {}{}{}\n", state, finding.what, finding.remark.empty() ? "" : ": ",
                               finding.remark);
  }
  return failed == 0 ? ok : some_failed;
}

}  // namespace

int plugin_command(Arguments arguments) {
  const auto parsed =
      parse(arguments, {option("json", "boolean", "One JSON line each"), option("help", "boolean", "This text")});
  const auto verb = parsed.positional.empty() ? std::string() : parsed.positional[0];
  const bool json = parsed.values.value("json", false);
  if (verb == "list" && parsed.positional.size() == 1) return list_installed(json);
  if (parsed.has("help") || parsed.positional.size() != 2) {
    std::cout << usage;
    return parsed.has("help") ? ok : bad_usage;
  }
  const auto& name = parsed.positional[1];
  if (verb == "check") return check(name, json);
  if (verb == "install" || verb == "update") {
    const auto before = verb == "update" ? plugin::find_installed(name) : plugin::Installed{};
    const auto installed = plugin::install(verb == "update" ? before.source : name, verb == "update");
    std::cout << fmt::format("{} {}\nchecksum {}{}\n", installed.id, installed.version, installed.checksum,
                             before.checksum.empty()                 ? ""
                             : before.checksum == installed.checksum ? " (as before)"
                                                                     : " (was " + before.checksum + ")");
    return ok;
  }
  if (verb == "remove")
    plugin::remove(name);
  else if (verb == "enable" || verb == "disable")
    plugin::enable(name, verb == "enable");
  else {
    std::cout << usage;
    return bad_usage;
  }
  return ok;
}

}  // namespace frazil::cli
