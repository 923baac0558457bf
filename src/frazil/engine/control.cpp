#include "frazil/engine/control.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace frazil::engine {
namespace {

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.string().size() >= sizeof(address.sun_path))
    throw Error(ErrorCode::bad_input, "{}: is too long for the name of a socket", path.string());
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

bool send_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0)
      text.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      return false;
  }
  return true;
}

}  // namespace

ControlServer::ControlServer(std::filesystem::path path, std::function<Json(const Json&)> serve)
    : path_(std::move(path)), serve_(std::move(serve)) {
  const auto address = address_of(path_);
  listen_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  ::unlink(path_.c_str());  // the lease is ours: whoever made it is gone
  if (listen_ < 0 || epoll_ < 0 || ::bind(listen_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listen_, 16) != 0)
    throw Error(ErrorCode::io, "{}: the control socket cannot be made: {}", path_.string(), std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listen_;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listen_, &event);
}

ControlServer::~ControlServer() {
  for (const auto& [client, text] : clients_) ::close(client);
  ::close(listen_);
  ::close(epoll_);
  ::unlink(path_.c_str());
}

void ControlServer::accept() {
  const int client = ::accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const timeval patience{5, 0};
  ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = client;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client, &event);
  clients_[client];
}

void ControlServer::drop(int client) {
  ::close(client);
  clients_.erase(client);
}

void ControlServer::read(int client) {
  std::array<char, 4096> chunk;
  const auto n = ::recv(client, chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  auto& text = clients_[client];
  if (n <= 0 || text.size() > (1u << 20)) return drop(client);
  text.append(chunk.data(), static_cast<std::size_t>(n));
  for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
    const auto request = Json::parse(text.substr(0, end), nullptr, false);
    text.erase(0, end + 1);
    const auto answer = request.is_object()
                            ? serve_(request)
                            : Json({{"ok", false}, {"error", "a request is one line with a JSON object"}});
    if (!send_all(client, answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n")) return drop(client);
  }
}

void ControlServer::handle() {
  epoll_event events[16];
  const int count = ::epoll_wait(epoll_, events, 16, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == listen_)
      accept();
    else
      read(events[i].data.fd);
  }
}

std::optional<Json> send_request(const std::filesystem::path& socket, const Json& request) {
  const auto address = address_of(socket);
  const int file = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0 || ::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (file >= 0) ::close(file);
    return std::nullopt;
  }
  std::string answer;
  if (send_all(file, request.dump() + "\n")) {
    std::array<char, 65536> chunk;
    for (ssize_t n = 0; !answer.ends_with('\n') && (n = ::recv(file, chunk.data(), chunk.size(), 0)) > 0;)
      answer.append(chunk.data(), static_cast<std::size_t>(n));
  }
  ::close(file);
  if (answer.empty()) return std::nullopt;  // it ended before it came to this request
  const auto json = Json::parse(answer, nullptr, false);
  if (!json.is_object()) throw Error(ErrorCode::io, "{}: the engine did not answer", socket.string());
  return json;
}

}  // namespace frazil::engine
