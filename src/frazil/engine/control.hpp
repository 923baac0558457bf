// Requests to a running engine: one line of JSON each way over a Unix socket that only its user can reach.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "frazil/params/fields.hpp"

namespace frazil::engine {

class ControlServer {
 public:
  ControlServer(std::filesystem::path path, std::function<Json(const Json&)> serve);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Readable (as in poll) when `handle` has something to do.
  [[nodiscard]] int descriptor() const { return epoll_; }
  void handle();

 private:
  void accept();
  void read(int client);
  void drop(int client);

  std::filesystem::path path_;
  std::function<Json(const Json&)> serve_;
  int listen_ = -1, epoll_ = -1;
  std::map<int, std::string> clients_;
};

/// Sends one request. None if nobody listens there, or whoever did has ended. @throws Error(io) if the answer does not
/// come
[[nodiscard]] std::optional<Json> send_request(const std::filesystem::path& socket, const Json& request);

}  // namespace frazil::engine
