// Messages over a stream socket: four bytes of length (little endian), then that many bytes of JSON text.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace frazil::exec {

constexpr std::size_t max_frame = std::size_t{1} << 30;  ///< bytes of the longest message

/// Sends one message, waiting while the buffer is full. @return false if the other side is gone
/// @throws Error(bad_input) for a message above `max_frame`
[[nodiscard]] bool send_frame(int socket, std::string_view text);

/// Collects bytes until whole messages are there; never more than one message of the longest length and one reading.
class FrameReader {
 public:
  enum class Status { open, closed };
  /// @param limit  bytes of the longest message taken
  explicit FrameReader(std::size_t limit = max_frame) : limit_(limit) {}
  void set_limit(std::size_t limit) { limit_ = limit; }
  /// Reads what is there, some MiB at most: what is left makes the socket readable again. With `wait` it blocks for at
  /// least one byte.
  [[nodiscard]] Status fill(int socket, bool wait);
  /// The next whole message. @throws Error(corrupt) when a longer one than allowed is announced
  [[nodiscard]] std::optional<std::string> next();
  /// A message has begun and is not whole.
  [[nodiscard]] bool has_part() const { return buffer_.size() > start_; }

 private:
  std::size_t limit_;
  std::string buffer_;
  std::size_t start_ = 0;
};

/// One end of a stream socket that never makes its owner wait: what the other side does not take yet is kept, up to a
/// bound. Owns the socket.
class Channel {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param limit  bytes of the longest message taken, and of what is kept to be sent, beside one message
  explicit Channel(int socket, std::size_t limit = max_frame);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  void set_limit(std::size_t limit);
  /// @return false if the other side is gone, or has left too much untaken
  [[nodiscard]] bool send(std::string_view text);
  /// Sends what is kept, as far as it is taken. @return false if the other side is gone
  [[nodiscard]] bool flush();
  /// Something waits to be sent: call `flush` when the socket can be written to.
  [[nodiscard]] bool has_output() const { return sent_ < output_.size(); }
  /// Reads what is there.
  [[nodiscard]] FrameReader::Status fill();
  /// The next whole message. @throws Error(corrupt) when a longer one than allowed is announced
  [[nodiscard]] std::optional<std::string> next() { return reader_.next(); }
  /// Seconds since a byte last moved, while part of a message waits to go or to come; 0: nothing waits.
  [[nodiscard]] double stalled_s(Clock::time_point now) const;

 private:
  int socket_;
  std::size_t limit_;
  FrameReader reader_;
  std::string output_;
  std::size_t sent_ = 0;
  Clock::time_point moved_ = Clock::now();
};

}  // namespace frazil::exec
