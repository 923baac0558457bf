// Messages over a stream socket: four bytes of length (little endian), then that many bytes of JSON text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace frazil::exec {

/// Sends one message, waiting while the buffer is full. @return false if the other side is gone
[[nodiscard]] bool send_frame(int socket, std::string_view text);

/// Collects bytes until whole messages are there.
class FrameReader {
 public:
  enum class Status { open, closed };
  /// Reads what is there. With `wait` it blocks for at least one byte.
  [[nodiscard]] Status fill(int socket, bool wait);
  /// The next whole message. @throws Error(corrupt) for a length above 1 GiB
  [[nodiscard]] std::optional<std::string> next();

 private:
  std::string buffer_;
  std::size_t start_ = 0;
};

}  // namespace frazil::exec
