// How a cluster's queue is spoken to, and how a worker there finds the engine. Everything of a site is in one JSON
// file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil::exec {

/// What one worker asks the queue for.
struct WorkerResources {
  int threads = 4, memory_mib = 8000;
  int workers = 4;  ///< at most so many at once
  std::string partition, time = "24:00:00";
  std::vector<std::string> options;  ///< further arguments of the submit command
};

/// A site's commands: lists of arguments in which {name} stands for a value. The defaults are Slurm's.
struct ClusterSettings {
  std::vector<std::string> submit, cancel, list;
  std::string script;                ///< text of the job script
  std::string job_pattern;           ///< regular expression on the output of submit; its first group is the job's id
  std::vector<std::string> waiting;  ///< states in the listing that mean: not started yet
  std::vector<std::string> running;  ///< … and: started; any other state means ended
  std::string
      address;   ///< under which nodes reach this machine, and the only one listened at; empty: its host name, and all
  int port = 0;  ///< 0: any free one
  double poll_s = 10, command_limit_s = 30;
  int give_up_after = 5;  ///< jobs in a row that end without a task done; then no more are submitted and the tasks fail
  int losses = 5;         ///< a task whose job is lost so often fails
  double stall_s = 120;   ///< a peer that neither takes nor ends a message for so long is hung up on
  std::vector<std::string> local_steps;          ///< run on this machine in any case
  WorkerResources resources;                     ///< of steps without their own
  std::map<std::string, WorkerResources> steps;  ///< by step name
};

/// Slurm with the defaults above. @throws Error(bad_input) for unknown keys and wrong types, all at once
[[nodiscard]] ClusterSettings parse_cluster(const Json& json);

/// `text` with {name} replaced. @throws Error(bad_input) for a name that is not in `values`
[[nodiscard]] std::string fill_template(const std::string& text, const std::map<std::string, std::string>& values);
/// A command's arguments, each filled; {options...} alone becomes all options, and an argument that ends in an empty
/// value
/// ("--partition=") is left out.
[[nodiscard]] std::vector<std::string> fill_command(const std::vector<std::string>& command,
                                                    const std::map<std::string, std::string>& values,
                                                    const std::vector<std::string>& options);

/// Where a hub listens: content of a file that only its user can read.
struct HubFile {
  std::string host;
  int port = 0;
  std::string token;                     ///< of this run
  std::string flavour;                   ///< step that workers with this file serve; empty: all others
  std::vector<std::string> local_steps;  ///< run by the proxy itself
  static constexpr auto fields() {
    using H = HubFile;
    return std::tuple(field(&H::host, "host", "Where the hub listens"), field(&H::port, "port", "On this port"),
                      field(&H::token, "token", "Of this run"), field(&H::flavour, "flavour", "Step served"),
                      field(&H::local_steps, "local_steps", "Steps that stay with the proxy"));
  }
};
/// @throws Error(not_found|io)
[[nodiscard]] HubFile read_hub_file(const std::filesystem::path& file);

/// Connects to the hub that wrote this file (hub.hpp). @param role  "worker" or "proxy" @return the socket. @throws
/// Error(not_found|io)
[[nodiscard]] int connect_to_hub(const std::filesystem::path& file, const std::string& role);

}  // namespace frazil::exec
