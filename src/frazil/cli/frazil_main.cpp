// Entry of the `frazil` program: finds the subcommand or protocol and turns errors into exit codes.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "frazil/base/log.hpp"
#include "frazil/base/nearest.hpp"
#include "frazil/cli/command.hpp"
#include "frazil/cli/step.hpp"
#include "frazil/plugin/installed.hpp"

namespace {

using namespace frazil;

void print_help() {
  std::cout << "frazil: cryo-EM single-particle processing while the microscope records\n\n"
               "  frazil <command> [options]\n  frazil <protocol> INPUT… -o DIR [options]      one step on "
               "files\n\nCommands\n";
  for (const auto& command : cli::commands()) std::cout << fmt::format("  {:14} {}\n", command.name, command.summary);
  std::cout << "\nProtocols\n";
  for (const auto& protocol : plugin::registry().all())
    std::cout << fmt::format("  {:20} {}\n", protocol.name, protocol.title);
  std::cout << "\n`frazil <protocol> --help` lists its parameters with units and defaults.\n";
}

int dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    print_help();
    return arguments.empty() ? cli::bad_usage : cli::ok;
  }
  const std::string name = arguments[0] == "--version" ? "version" : arguments[0];
  const auto rest = cli::Arguments(arguments).subspan(1);
  for (const auto& command : cli::commands())
    if (command.name == name) return command.run(rest);
  if (const auto* protocol = plugin::registry().find(name)) return cli::run_step(*protocol, rest);
  std::vector<std::string> names;
  for (const auto& command : cli::commands()) names.emplace_back(command.name);
  for (const auto& protocol : plugin::registry().all()) names.push_back(protocol.name);
  const auto meant = did_you_mean(name, names);
  throw Error(ErrorCode::not_found, "there is no command or protocol {}{}", name,
              meant.empty() ? "; frazil --help lists them" : meant);
}

}  // namespace

int main(int argc, char** argv) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::fputs("frazil needs a CPU with AVX2 and FMA (any x86-64 server since 2013); this one has none\n", stderr);
    return cli::bad_usage;
  }
  try {
    return dispatch({argv + 1, argv + argc});
  } catch (const Error& error) {
    log::error("{}", error.what());
    switch (error.code()) {
      case ErrorCode::bug:
        return cli::defect;
      case ErrorCode::cancelled:
        return cli::interrupted;
      default:
        return cli::bad_usage;
    }
  } catch (const std::filesystem::filesystem_error& error) {
    std::error_code gone;
    (void)std::filesystem::current_path(gone);
    if (gone)
      log::error("the folder that you are in is not there any more: change to another one");
    else
      log::error("{}: {}", error.path1().string(), error.code().message());
    return cli::bad_usage;
  } catch (const std::bad_alloc&) {
    log::error("memory ran out");
    return cli::some_failed;
  } catch (const std::exception& error) {
    log::error("internal defect: {}", error.what());
    return cli::defect;
  }
}
