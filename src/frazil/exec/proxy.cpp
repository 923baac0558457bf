#include "frazil/exec/proxy.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "frazil/base/files.hpp"
#include "frazil/exec/cluster.hpp"

namespace frazil::exec {

using Json = nlohmann::json;

std::string step_of(const Json& task) {
  const auto& first = task.is_array() && !task.empty() ? task.front() : task;
  const auto reference = first.is_object() ? first.value("reference", std::string()) : std::string();
  const auto begin = reference.find('/');
  return begin == std::string::npos ? std::string()
                                    : reference.substr(begin + 1, reference.find('/', begin + 1) - begin - 1);
}

Proxy::Proxy(const std::filesystem::path& hub, int engine_socket)
    : engine_(engine_socket), hub_(connect_to_hub(hub, "proxy")) {
  local_steps_ = Json::parse(read_text(hub)).value("local_steps", std::vector<std::string>());
}

Proxy::~Proxy() {
  if (hub_ >= 0) ::close(hub_);
}

bool Proxy::runs_here(const Json& task) const {
  return std::find(local_steps_.begin(), local_steps_.end(), step_of(task)) != local_steps_.end();
}

// Both directions at any time: the engine has a next task ready as soon as it has the last result of the one before.
std::optional<std::string> Proxy::next_here(FrameReader& from_engine) {
  while (true) {
    while (auto text = from_engine.next()) {
      const auto json = Json::parse(*text, nullptr, false);
      if (json.is_array() && runs_here(json)) return text;
      if (!send_frame(hub_, *text)) return std::nullopt;
    }
    pollfd files[2] = {{hub_, POLLIN, 0}, {engine_, POLLIN, 0}};
    if (::poll(files, 2, -1) < 0 && errno != EINTR) return std::nullopt;
    if ((files[1].revents & (POLLIN | POLLHUP)) != 0 && from_engine.fill(engine_, false) == FrameReader::Status::closed)
      return std::nullopt;
    if ((files[0].revents & (POLLIN | POLLHUP)) == 0) continue;
    const auto status = from_hub_.fill(hub_, false);
    while (const auto answer = from_hub_.next())
      if (!send_frame(engine_, *answer)) return std::nullopt;
    if (status == FrameReader::Status::closed) return std::nullopt;
  }
}

}  // namespace frazil::exec
