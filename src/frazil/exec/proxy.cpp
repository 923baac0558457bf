#include "frazil/exec/proxy.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "frazil/exec/cluster.hpp"
#include "frazil/exec/messages.hpp"

namespace frazil::exec {

Proxy::Proxy(const std::filesystem::path& hub, int engine_socket)
    : engine_(engine_socket), hub_(connect_to_hub(hub, "proxy")) {
  local_steps_ = read_hub_file(hub).local_steps;
}

Proxy::~Proxy() {
  if (hub_ >= 0) ::close(hub_);
}

bool Proxy::runs_here(const std::string& text) const {
  if (local_steps_.empty()) return false;
  const Message message(text);
  if (!message.has_tasks()) return false;
  const auto tasks = message.task_heads();
  return !tasks.empty() &&
         std::find(local_steps_.begin(), local_steps_.end(), step_of(tasks.front())) != local_steps_.end();
}

// Both directions at any time: the engine has a next task ready as soon as it has the last result of the one before.
std::optional<std::string> Proxy::next_here(FrameReader& from_engine) {
  while (true) {
    while (auto text = from_engine.next()) {
      if (runs_here(*text)) return text;
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
