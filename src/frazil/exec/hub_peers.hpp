// The hub's sockets: who connects, what they send, what they are sent. Nobody who stalls, floods or babbles holds up
// the others.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frazil/exec/frame.hpp"

namespace frazil::exec {

class Peers {
 public:
  struct Limits {
    std::size_t hello_bytes = 64 << 10;  ///< what a peer may send before it is welcome
    double hello_s = 10;                 ///< and how long it may take for that
    int strangers = 1024;                ///< so many at once that are not welcome yet; who comes then is hung up on
    double stall_s = 120;                ///< a peer that neither takes nor ends a message for so long is hung up on
  };
  /// Called by `serve`, never by `send` or `hang_up`.
  struct Handlers {
    /// A whole message. @return false: hang up. @throws Error: the same, for the reason in its words
    std::function<bool(int peer, const std::string& text)> on_message;
    /// The peer is gone; one that was hung up on is not told of.
    std::function<void(int peer, const std::string& why)> on_gone;
  };

  /// Listens. @param address  host name or number of an interface of this machine; empty: all of IPv4
  /// @param port  0: any free one. @throws Error(resource|bad_input) when that is not possible
  Peers(const std::string& address, int port, Limits limits, Handlers handlers);
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  [[nodiscard]] int port() const { return port_; }
  /// Waits at most so long for something to do. Other threads may call it.
  void wait(int timeout_ms);
  /// Takes and sends what there is, and hangs up on those that exceed a limit.
  void serve();
  /// From any thread: `wait` returns.
  void wake() const;
  /// The peer has shown who it is: messages of any length are taken from now on.
  void welcome(int peer);
  /// Sends, or keeps until it is taken. A peer that is gone is told of by `serve`.
  void send(int peer, const std::string& text);
  void hang_up(int peer);
  [[nodiscard]] std::size_t count() const { return peers_.size(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    Peer(int socket, std::size_t limit) : channel(socket, limit) {}
    Channel channel;
    bool is_welcome = false, writes = false;
    Clock::time_point since = Clock::now();
    std::optional<std::string> lost;  ///< why it is about to be told of as gone
  };
  void listen(const std::string& address, int port);
  void accept();
  void read(int id, Peer& peer);
  void look_for_room(int id, Peer& peer) const;
  void check_limits();
  void drop_lost();

  Limits limits_;
  Handlers handlers_;
  std::map<int, std::unique_ptr<Peer>> peers_;  ///< by a number of their own: those of sockets come again
  int listen_ = -1, epoll_ = -1, wake_ = -1, port_ = 0, next_ = 2, strangers_ = 0;
  bool full_ = false;  ///< too many open files: nobody is accepted for a while
  Clock::time_point next_check_ = Clock::now();
};

}  // namespace frazil::exec
