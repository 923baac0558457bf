#include "frazil/exec/cluster.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "frazil/base/braces.hpp"
#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/pattern.hpp"
#include "frazil/exec/frame.hpp"
#include "frazil/exec/messages.hpp"

namespace frazil::exec {
namespace {

class Reader {
 public:
  Reader(const Json& json, std::string place, std::vector<std::string>& problems)
      : json_(json), place_(std::move(place)), problems_(problems) {}

  template <class T>
  void read(const char* key, T& value) {
    known_.emplace_back(key);
    const auto found = json_.find(key);
    if (found == json_.end()) return;
    try {
      value = found->get<T>();
    } catch (const Json::exception&) {
      problems_.push_back(place_ + key + " has the wrong type: " + found->dump());
    }
  }
  void allow(const char* key) { known_.emplace_back(key); }
  void finish() {
    for (const auto& [key, value] : json_.items())
      if (std::find(known_.begin(), known_.end(), key) == known_.end())
        problems_.push_back(place_ + key + " is not known");
  }

 private:
  const Json& json_;
  std::string place_;
  std::vector<std::string>& problems_;
  std::vector<std::string> known_;
};

WorkerResources read_resources(const Json& json, const std::string& place, WorkerResources resources,
                               std::vector<std::string>& problems) {
  Reader reader(json, place, problems);
  reader.read("threads", resources.threads);
  reader.read("memory_mib", resources.memory_mib);
  reader.read("workers", resources.workers);
  reader.read("partition", resources.partition);
  reader.read("time", resources.time);
  reader.read("options", resources.options);
  reader.finish();
  if (resources.threads < 1 || resources.workers < 1 || resources.memory_mib < 64)
    problems.push_back(place + "threads and workers must be at least 1, memory_mib at least 64");
  return resources;
}

}  // namespace

ClusterSettings parse_cluster(const Json& json) {
  ClusterSettings settings;
  settings.submit = {"sbatch",
                     "--parsable",
                     "--array=1-{count}",
                     "--job-name={name}",
                     "--cpus-per-task={threads}",
                     "--mem={memory_mib}M",
                     "--time={time}",
                     "--partition={partition}",
                     "--output={logs}/cluster-%A_%a.log",
                     "--open-mode=append",
                     "{options...}",
                     "{script}"};
  settings.cancel = {"scancel", "{job}"};
  settings.list = {"squeue", "--noheader", "--array", "--format=%i %T", "--jobs={jobs}"};
  settings.script = "#!/bin/sh\nexec {worker}\n";
  settings.job_pattern = "^([0-9]+)";
  settings.waiting = {"PENDING",     "CONFIGURING",   "REQUEUED",    "REQUEUE_HOLD",
                      "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"};
  settings.running = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"};
  std::vector<std::string> problems;
  if (!json.is_object()) throw Error(ErrorCode::bad_input, "the cluster's settings must be a JSON object");
  Reader reader(json, "", problems);
  reader.read("submit", settings.submit);
  reader.read("cancel", settings.cancel);
  reader.read("list", settings.list);
  reader.read("script", settings.script);
  reader.read("job_pattern", settings.job_pattern);
  reader.read("waiting", settings.waiting);
  reader.read("running", settings.running);
  reader.read("address", settings.address);
  reader.read("port", settings.port);
  reader.read("poll_s", settings.poll_s);
  reader.read("command_limit_s", settings.command_limit_s);
  reader.read("give_up_after", settings.give_up_after);
  reader.read("losses", settings.losses);
  reader.read("stall_s", settings.stall_s);
  reader.read("local_steps", settings.local_steps);
  reader.allow("resources");
  reader.allow("steps");
  reader.finish();
  settings.resources = read_resources(json.value("resources", Json::object()), "resources.", {}, problems);
  const auto steps = json.value("steps", Json::object());
  for (const auto& [step, entry] : steps.items())
    settings.steps[step] = read_resources(entry, "steps." + step + ".", settings.resources, problems);
  if (settings.submit.empty() || settings.list.empty() || settings.cancel.empty())
    problems.emplace_back("submit, list and cancel must not be empty");
  if (!is_pattern(settings.job_pattern)) problems.emplace_back("job_pattern is no regular expression");
  if (problems.empty()) return settings;
  std::string all;
  for (const auto& problem : problems) all += (all.empty() ? "" : "; ") + problem;
  throw Error(ErrorCode::bad_input, "the cluster's settings: {}", all);
}

std::string fill_template(const std::string& text, const std::map<std::string, std::string>& values) {
  return fill_braces(text, [&](std::string_view name) {
    const auto found = values.find(std::string(name));
    if (found == values.end())
      throw Error(ErrorCode::bad_input, "the cluster's settings: {{{}}} in \"{}\" stands for nothing", name, text);
    return found->second;
  });
}

std::vector<std::string> fill_command(const std::vector<std::string>& command,
                                      const std::map<std::string, std::string>& values,
                                      const std::vector<std::string>& options) {
  std::vector<std::string> arguments;
  for (const auto& part : command) {
    if (part == "{options...}") {
      arguments.insert(arguments.end(), options.begin(), options.end());
      continue;
    }
    auto filled = fill_template(part, values);
    if (!(part.ends_with('}') && filled.ends_with('='))) arguments.push_back(std::move(filled));
  }
  return arguments;
}

HubFile read_hub_file(const std::filesystem::path& file) {
  const auto json = Json::parse(read_text(file), nullptr, false);
  if (!json.is_object()) throw Error(ErrorCode::not_found, "{}: does not say where the engine is", file.string());
  return record_from_json<HubFile>(json);
}

int connect_to_hub(const std::filesystem::path& file, const std::string& role) {
  const auto where = read_hub_file(file);
  const auto port = std::to_string(where.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(where.host.c_str(), port.c_str(), &hints, &list); error != 0)
    throw Error(ErrorCode::io, "{}: the engine's host is unknown here: {}", where.host, ::gai_strerror(error));
  int socket = -1;
  for (const auto* entry = list; entry != nullptr && socket < 0; entry = entry->ai_next) {
    socket = ::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, entry->ai_protocol);
    if (socket >= 0 && ::connect(socket, entry->ai_addr, entry->ai_addrlen) != 0) {
      ::close(socket);
      socket = -1;
    }
  }
  ::freeaddrinfo(list);
  if (socket < 0)
    throw Error(ErrorCode::io, "{} port {}: no engine answers: {}", where.host, port, std::strerror(errno));
  const int on = 1, idle_s = 30;
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const char* job = std::getenv("SLURM_JOB_ID");
  char name[256] = "";
  ::gethostname(name, sizeof(name) - 1);
  const Hello hello{where.token, role, where.flavour, name, job == nullptr ? "" : job, ::getpid()};
  if (!send_frame(socket, encode(hello)))
    throw Error(ErrorCode::io, "{} port {}: the engine hung up", where.host, port);
  return socket;
}

}  // namespace frazil::exec
