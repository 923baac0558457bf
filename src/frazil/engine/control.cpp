#include "frazil/engine/control.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"

namespace frazil::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds last_words{2'000};  ///< for answers under way when the server ends

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.string().size() >= sizeof(address.sun_path))
    throw Error(ErrorCode::bad_input, "{}: is too long for the name of a socket", path.string());
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

/// Device and inode of a name; zeros if there is none.
std::pair<std::uint64_t, std::uint64_t> identity_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino};
}

/// Waits until a descriptor is ready. @return false after the time
bool wait_for(int file, short what, std::chrono::milliseconds most) {
  pollfd one{file, what, 0};
  const auto until = Clock::now() + most;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    const int ready = ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

/// The client is not there any more, or does not take its answer.
struct Gone {};

}  // namespace

ControlServer::ControlServer(std::filesystem::path path, std::function<void(const Json&, const Write&)> serve,
                             Limits limits)
    : path_(std::move(path)),
      serve_(std::move(serve)),
      limits_(limits),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  listen();
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

ControlServer::~ControlServer() {
  leaving_ = true;
  thread_.request_stop();
  ::eventfd_write(wake_, 1);
  thread_.join();
  {
    const std::lock_guard lock(mutex_);
    for (auto& client : clients_) ::shutdown(client.file, SHUT_RD);  // no more requests; answers go out
  }
  for (auto& client : clients_) client.thread.join();
  for (auto& client : clients_) ::close(client.file);
  ::close(listen_);
  ::close(wake_);
  if (identity_of(path_) == identity_) ::unlink(path_.c_str());
}

/// Gives the socket its name. @throws Error(io)
void ControlServer::listen() {
  const auto address = address_of(path_);
  const int file = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ::unlink(path_.c_str());  // the lease is ours: whoever made it is gone
  if (file < 0 || ::bind(file, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(file, 64) != 0) {
    const int error = errno;
    if (file >= 0) ::close(file);
    throw Error(ErrorCode::io, "{}: the control socket cannot be made: {}", path_.string(), std::strerror(error));
  }
  if (listen_ >= 0) ::close(listen_);
  listen_ = file;
  identity_ = identity_of(path_);
}

/// The folder of run-time files goes at the end of a login session, and others may sweep it: the name is made anew.
void ControlServer::look_after_name() {
  if (identity_of(path_) == identity_) return;
  try {
    make_folders(path_.parent_path());
    ::chmod(path_.parent_path().c_str(), 0700);
    listen();
    log::info("{}: the control socket had vanished and was made anew", path_.string());
  } catch (const Error& error) {  // tried again
    log::debug("{}", error.what());
  }
}

void ControlServer::work(const std::stop_token& stop) {
  auto next = Clock::now() + limits_.look_after;
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> files{pollfd{listen_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    (void)::poll(files.data(), files.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (stop.stop_requested()) return;
    eventfd_t ignored = 0;
    ::eventfd_read(wake_, &ignored);
    forget_ended();
    if ((files[0].revents & POLLIN) != 0) accept();
    if (Clock::now() < next) continue;
    look_after_name();
    next = Clock::now() + limits_.look_after;
  }
}

void ControlServer::forget_ended() {
  std::list<Client> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = clients_.begin(); it != clients_.end();) {
      const auto next = std::next(it);
      if (it->ended) ended.splice(ended.end(), clients_, it);
      it = next;
    }
  }
  for (auto& client : ended) {
    client.thread.join();
    ::close(client.file);
  }
}

/// @return false if all that are there are being served
bool ControlServer::make_room() {
  const std::lock_guard lock(mutex_);
  const auto alive = std::count_if(clients_.begin(), clients_.end(), [](const Client& c) { return !c.ended; });
  if (alive < limits_.clients) return true;
  Client* silent = nullptr;
  for (auto& client : clients_)
    if (!client.busy && !client.ended && (silent == nullptr || client.since < silent->since)) silent = &client;
  if (silent == nullptr) return false;
  ::shutdown(silent->file, SHUT_RDWR);
  return true;
}

void ControlServer::accept() {
  const int file = ::accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (file < 0) return;
  if (!make_room()) {
    constexpr std::string_view full = "{\"ok\":false,\"error\":\"too many requests at once\",\"code\":\"resource\"}\n";
    (void)::send(file, full.data(), full.size(), MSG_NOSIGNAL);
    ::close(file);
    return;
  }
  const std::lock_guard lock(mutex_);
  auto& client = clients_.emplace_back();
  client.file = file;
  client.since = Clock::now();
  client.thread = std::jthread([this, &client] { speak(client); });
}

/// All that one client says, in its thread.
void ControlServer::speak(Client& client) {
  std::string text, line;
  try {
    while (read_line(client, text, line)) answer(client, line);
  } catch (const Gone&) {
  } catch (const std::exception& error) {
    log::debug("a client of the control socket: {}", error.what());
  }
  ::shutdown(client.file, SHUT_RDWR);
  const std::lock_guard lock(mutex_);
  client.ended = true;
  ::eventfd_write(wake_, 1);
}

/// @param text  what has come beyond the last line. @return false when the client has nothing more to say
bool ControlServer::read_line(Client& client, std::string& text, std::string& line) {
  std::array<char, 4096> chunk;
  while (true) {
    if (const auto end = text.find('\n'); end != std::string::npos) {
      line = text.substr(0, end);
      text.erase(0, end + 1);
      return !leaving_;
    }
    if (text.size() > limits_.request_bytes) {
      send(client.file, "{\"ok\":false,\"error\":\"a request is one line of at most 1 MiB\",\"code\":\"bad_input\"}\n");
      return false;
    }
    pollfd one{client.file, POLLIN, 0};
    if (::poll(&one, 1, -1) < 0 && errno != EINTR) return false;
    const auto n = ::recv(client.file, chunk.data(), chunk.size(), 0);
    if (n == 0) return false;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (n > 0) text.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

void ControlServer::answer(Client& client, const std::string& line) {
  const auto set_busy = [&](bool busy) {
    const std::lock_guard lock(mutex_);
    client.busy = busy;
    client.since = Clock::now();
  };
  set_busy(true);
  const auto request = Json::parse(line, nullptr, false);
  if (request.is_object())
    serve_(request, [&](std::string_view piece) { send(client.file, piece); });
  else
    send(client.file, "{\"ok\":false,\"error\":\"a request is one line with a JSON object\",\"code\":\"bad_input\"}\n");
  set_busy(false);
}

/// @throws Gone if the client takes nothing for too long
void ControlServer::send(int file, std::string_view text) const {
  while (!text.empty()) {
    const auto n = ::send(file, text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      const auto until = Clock::now() + limits_.unread;
      while (!wait_for(file, POLLOUT, std::chrono::milliseconds(100))) {
        if (Clock::now() > until || (leaving_ && Clock::now() > until - limits_.unread + last_words)) throw Gone{};
      }
    } else if (errno != EINTR) {
      throw Gone{};
    }
  }
}

// ---- the other side ---------------------------------------------------------------------------------------------

namespace {

class Line {
 public:
  explicit Line(double patience_s) : file_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const double whole = std::floor(patience_s);
    const timeval patience{static_cast<time_t>(whole), static_cast<suseconds_t>((patience_s - whole) * 1e6)};
    ::setsockopt(file_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    ::setsockopt(file_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~Line() {
    if (file_ >= 0) ::close(file_);
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  [[nodiscard]] int file() const { return file_; }

 private:
  int file_;
};

[[noreturn]] void silent(const std::filesystem::path& socket, double patience_s) {
  throw Error(ErrorCode::io, "{}: the engine has not answered for {:g} s: it hangs, or its machine is overloaded",
              socket.string(), patience_s);
}

}  // namespace

std::optional<Json> send_request(const std::filesystem::path& socket, const Json& request, double patience_s) {
  const auto address = address_of(socket);
  const Line line(patience_s);
  if (line.file() < 0 || ::connect(line.file(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EAGAIN || errno == EINPROGRESS) silent(socket, patience_s);
    return std::nullopt;
  }
  const auto text = request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (std::size_t sent = 0; sent < text.size();) {
    const auto n = ::send(line.file(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) silent(socket, patience_s);
    if (n < 0 && errno != EINTR) break;
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  std::string answer;
  std::array<char, 65536> chunk;
  while (!answer.ends_with('\n')) {
    const auto n = ::recv(line.file(), chunk.data(), chunk.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) silent(socket, patience_s);
    if (n <= 0) break;
    answer.append(chunk.data(), static_cast<std::size_t>(n));
  }
  if (answer.empty()) return std::nullopt;  // it ended before it came to this request
  auto json = Json::parse(answer, nullptr, false);
  if (!json.is_object()) throw Error(ErrorCode::io, "{}: the engine broke off in its answer", socket.string());
  return json;
}

}  // namespace frazil::engine
