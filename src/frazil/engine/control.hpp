// Requests to a running engine: one line of JSON each way over a Unix socket that only its user can reach.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "frazil/params/fields.hpp"

namespace frazil::engine {

/// Every client has a thread of its own: whoever reads slowly, stops, or sends half a line keeps only itself waiting.
class ControlServer {
 public:
  struct Limits {
    std::size_t request_bytes = 1 << 20;
    int clients = 64;                             ///< beyond that the one that has been silent longest has to go
    std::chrono::milliseconds unread{20'000};     ///< a client that takes nothing for so long has to go
    std::chrono::milliseconds look_after{2'000};  ///< how often the socket's name is looked after
  };
  using Write = std::function<void(std::string_view piece)>;

  /// @param serve  called in the clients' threads, several at a time; writes the answer, a whole line, in pieces
  ControlServer(std::filesystem::path path, std::function<void(const Json& request, const Write& write)> serve,
                Limits limits);
  ControlServer(std::filesystem::path path, std::function<void(const Json& request, const Write& write)> serve)
      : ControlServer(std::move(path), std::move(serve), Limits()) {}
  /// Ends when the answers under way are sent, or their clients do not take them.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  struct Client {
    int file = -1;
    bool busy = false, ended = false;
    std::chrono::steady_clock::time_point since;  ///< of the last thing it said
    std::jthread thread;
  };
  void listen();
  void look_after_name();
  void work(const std::stop_token& stop);
  void accept();
  void forget_ended();
  bool make_room();
  void speak(Client& client);
  bool read_line(Client& client, std::string& text, std::string& line);
  void answer(Client& client, const std::string& line);
  void send(int file, std::string_view text) const;

  std::filesystem::path path_;
  std::function<void(const Json&, const Write&)> serve_;
  Limits limits_;
  int listen_ = -1, wake_ = -1;
  std::pair<std::uint64_t, std::uint64_t> identity_{};  ///< device and inode of our name
  std::atomic<bool> leaving_ = false;
  std::mutex mutex_;
  std::list<Client> clients_;
  std::jthread thread_;
};

/// Sends one request. None if nobody listens there, or whoever did has ended.
/// @param patience_s  how long nothing may come
/// @throws Error(io) if the answer does not come, or is none
[[nodiscard]] std::optional<Json> send_request(const std::filesystem::path& socket, const Json& request,
                                               double patience_s = 60);

}  // namespace frazil::engine
