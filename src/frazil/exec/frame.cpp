#include "frazil/exec/frame.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "frazil/base/error.hpp"

namespace frazil::exec {

bool send_frame(int socket, std::string_view text) {
  const auto length = static_cast<std::uint32_t>(text.size());
  std::string message(4, '\0');
  std::memcpy(message.data(), &length, 4);
  message += text;
  for (std::size_t sent = 0; sent < message.size();) {
    const auto n = ::send(socket, message.data() + sent, message.size() - sent, MSG_NOSIGNAL);
    if (n > 0)
      sent += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      return false;
  }
  return true;
}

FrameReader::Status FrameReader::fill(int socket, bool wait) {
  std::array<char, 65536> chunk;
  int flags = wait ? 0 : MSG_DONTWAIT;
  while (true) {
    const auto n = ::recv(socket, chunk.data(), chunk.size(), flags);
    if (n > 0) {
      buffer_.append(chunk.data(), static_cast<std::size_t>(n));
      flags = MSG_DONTWAIT;
    } else if (n == 0) {
      return Status::closed;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Status::open;
    } else if (errno != EINTR) {
      return Status::closed;
    }
  }
}

std::optional<std::string> FrameReader::next() {
  if (buffer_.size() - start_ < 4) return std::nullopt;
  std::uint32_t length = 0;
  std::memcpy(&length, buffer_.data() + start_, 4);
  if (length > (1u << 30))
    throw Error(ErrorCode::corrupt, "a message of {} bytes was announced, at most 1 GiB is allowed", length);
  if (buffer_.size() - start_ - 4 < length) return std::nullopt;
  auto text = buffer_.substr(start_ + 4, length);
  start_ += 4 + length;
  if (start_ == buffer_.size()) {
    buffer_.clear();
    start_ = 0;
  } else if (start_ > (1u << 20)) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  return text;
}

}  // namespace frazil::exec
