// Which task goes to which of the hub's workers, and what becomes of those whose worker is lost. Knows no sockets.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "frazil/exec/messages.hpp"

namespace frazil::exec {

class Matching {
 public:
  struct Rules {
    int losses = 5;  ///< a task whose worker was lost so often fails
    std::function<std::string(const std::string& step)> flavour_of;
  };
  /// How peers are reached; neither calls back.
  struct Ways {
    std::function<void(int peer, const std::string& text)> send;
    std::function<void(int peer)> hang_up;
  };
  Matching(Rules rules, Ways ways) : rules_(std::move(rules)), ways_(std::move(ways)) {}

  void add_worker(int peer, std::string flavour, std::string where);
  void add_proxy(int peer);
  /// A message of a peer. @return the number of results in it. @throws Error(corrupt) when it is none
  int take(int peer, const std::string& text);
  void lose(int peer, const std::string& why);
  /// Gives waiting tasks to free workers of their kind.
  void match();
  /// No workers will come any more: what waits fails, for this reason. Called in place of `match`.
  void fail_waiting(const std::string& why);

  /// How many workers of each kind could be at work now.
  [[nodiscard]] std::map<std::string, int> demand() const;
  [[nodiscard]] bool has_workers() const { return !workers_.empty(); }

 private:
  static constexpr int nobody = -1;
  struct Worker {
    std::string flavour, where;
    int proxy = nobody;         ///< whose tasks it runs
    std::uint64_t running = 0;  ///< the task it is at, if it has told
  };
  struct Proxy {
    std::string flavour, message;                ///< what waits for a worker or runs
    std::map<std::uint64_t, std::string> tasks;  ///< without result, by number: what stays the same in another attempt
    std::vector<std::uint64_t> cancelled;        ///< of the message, before it went to a worker
    int worker = nobody;
  };
  int take_from_worker(Worker& worker, const Message& message, const std::string& text);
  void take_from_proxy(int peer, Proxy& proxy, const Message& message, const std::string& text);
  void cancel_waiting(int peer, Proxy& proxy, const Cancel& cancel);
  void lose_worker(const Worker& worker, const std::string& why);
  void end(Proxy& proxy, int peer, const std::vector<std::uint64_t>& tasks, ErrorCode code, const std::string& message);

  Rules rules_;
  Ways ways_;
  std::map<int, Worker> workers_;
  std::map<int, Proxy> proxies_;
  std::deque<int> waiting_;            ///< proxies whose message waits for a worker
  std::map<std::string, int> losses_;  ///< by what stays the same in another attempt
};

}  // namespace frazil::exec
