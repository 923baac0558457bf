#include "frazil/exec/hub_peers.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "frazil/base/error.hpp"
#include "frazil/base/log.hpp"

namespace frazil::exec {
namespace {

constexpr int listener = 0, waker = 1;  ///< as numbers of epoll events; peers come after them

void watch(int epoll, int file, int number, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = number;
  ::epoll_ctl(epoll, operation, file, &event);
}

/// A node that falls silent is noticed within a minute.
void notice_silence(int socket) {
  const int on = 1, idle_s = 15, every_s = 10, tries = 3, unanswered_ms = 60000;
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

struct Found {
  addrinfo* list = nullptr;
  ~Found() {
    if (list != nullptr) ::freeaddrinfo(list);
  }
};

}  // namespace

Peers::Peers(const std::string& address, int port, Limits limits, Handlers handlers)
    : limits_(limits), handlers_(std::move(handlers)) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  try {
    listen(address, port);
  } catch (...) {
    for (const int file : {listen_, epoll_, wake_})
      if (file >= 0) ::close(file);
    throw;
  }
  watch(epoll_, listen_, listener, EPOLLIN, EPOLL_CTL_ADD);
  watch(epoll_, wake_, waker, EPOLLIN, EPOLL_CTL_ADD);
}

Peers::~Peers() {
  peers_.clear();
  for (const int file : {listen_, epoll_, wake_}) ::close(file);
}

void Peers::listen(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (address.empty()) hints.ai_family = AF_INET;
  Found found;
  const auto service = std::to_string(port);
  if (const int error =
          ::getaddrinfo(address.empty() ? nullptr : address.c_str(), service.c_str(), &hints, &found.list);
      error != 0)
    throw Error(ErrorCode::bad_input, "{}: is no address to listen at: {}", address, ::gai_strerror(error));
  listen_ = ::socket(found.list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(listen_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (listen_ < 0 || ::bind(listen_, found.list->ai_addr, found.list->ai_addrlen) != 0 || ::listen(listen_, 256) != 0 ||
      ::getsockname(listen_, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    throw Error(ErrorCode::resource, "{} port {}: workers of the cluster cannot be listened for: {}",
                address.empty() ? "any address" : address, port, std::strerror(errno));
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

void Peers::wait(int timeout_ms) {
  epoll_event event;
  (void)::epoll_wait(epoll_, &event, 1, timeout_ms);
}

void Peers::wake() const { ::eventfd_write(wake_, 1); }

void Peers::serve() {
  epoll_event events[64];
  const int count = ::epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    const int number = events[i].data.fd;
    if (number == listener) {
      accept();
    } else if (number == waker) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_, &ignored);
    } else if (const auto found = peers_.find(number); found != peers_.end()) {
      auto& peer = *found->second;
      if ((events[i].events & EPOLLOUT) != 0 && !peer.channel.flush()) peer.lost = "it hung up";
      if ((events[i].events & ~EPOLLOUT) != 0) read(number, peer);
      if (peers_.contains(number)) look_for_room(number, peer);
    }
  }
  check_limits();
  drop_lost();
}

void Peers::accept() {
  const int socket = ::accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket < 0) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
    full_ = true;
    watch(epoll_, listen_, listener, 0, EPOLL_CTL_MOD);
    log::warning("cluster: a worker cannot be taken on for now: {}", std::strerror(errno));
    return;
  }
  if (strangers_ >= limits_.strangers) {
    ::close(socket);
    return;
  }
  notice_silence(socket);
  const int id = next_++;
  peers_[id] = std::make_unique<Peer>(socket, limits_.hello_bytes);
  ++strangers_;
  watch(epoll_, socket, id, EPOLLIN, EPOLL_CTL_ADD);
}

void Peers::read(int id, Peer& peer) {
  if (peer.lost) return;
  const auto status = peer.channel.fill();
  try {
    while (!peer.lost) {
      const auto text = peer.channel.next();
      if (!text) break;
      if (!handlers_.on_message(id, *text)) return hang_up(id);
      if (!peers_.contains(id)) return;  // hung up on meanwhile
    }
  } catch (const std::exception& error) {
    peer.lost = error.what();
  }
  if (status == FrameReader::Status::closed && !peer.lost) peer.lost = "its job ended";
}

void Peers::look_for_room(int id, Peer& peer) const {
  if (peer.writes == peer.channel.has_output()) return;
  peer.writes = !peer.writes;
  watch(epoll_, peer.channel.socket(), id, peer.writes ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

void Peers::check_limits() {
  const auto now = Clock::now();
  if (now < next_check_) return;
  next_check_ = now + std::chrono::milliseconds(200);
  if (std::exchange(full_, false)) watch(epoll_, listen_, listener, EPOLLIN, EPOLL_CTL_MOD);
  for (auto& [id, peer] : peers_) {
    const double age_s = std::chrono::duration<double>(now - peer->since).count();
    if (!peer->is_welcome && age_s > limits_.hello_s)
      peer->lost = fmt::format("it did not say who it is within {:g} s", limits_.hello_s);
    else if (peer->channel.stalled_s(now) > limits_.stall_s)
      peer->lost = fmt::format("it was in the middle of a message for {:g} s", limits_.stall_s);
  }
}

/// Tells of those that are gone; what that leads to may make others gone.
void Peers::drop_lost() {
  const auto is_lost = [](const auto& entry) { return entry.second->lost.has_value(); };
  for (auto it = std::find_if(peers_.begin(), peers_.end(), is_lost); it != peers_.end();
       it = std::find_if(peers_.begin(), peers_.end(), is_lost)) {
    const int id = it->first;
    const auto why = *it->second->lost;
    const bool known = it->second->is_welcome;
    hang_up(id);
    if (known)
      handlers_.on_gone(id, why);
    else
      log::debug("cluster: somebody who did not say who they are was hung up on: {}", why);
  }
}

void Peers::welcome(int id) {
  auto& peer = *peers_.at(id);
  if (std::exchange(peer.is_welcome, true)) return;
  --strangers_;
  peer.channel.set_limit(max_frame);
}

void Peers::send(int id, const std::string& text) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second->lost) return;
  if (!found->second->channel.send(text)) found->second->lost = "it hung up, or does not take what it is sent";
  look_for_room(id, *found->second);
}

void Peers::hang_up(int id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  strangers_ -= found->second->is_welcome ? 0 : 1;
  // A program that is just being started may hold a copy of the socket for a moment.
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, found->second->channel.socket(), nullptr);
  ::shutdown(found->second->channel.socket(), SHUT_RDWR);
  peers_.erase(found);
}

}  // namespace frazil::exec
