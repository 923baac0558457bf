#include "frazil/exec/frame.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "frazil/base/error.hpp"

namespace frazil::exec {
namespace {

constexpr std::size_t most_at_once = std::size_t{4} << 20;  ///< bytes read before others have their turn

std::string length_of(std::string_view text) {
  if (text.size() > max_frame)
    throw Error(ErrorCode::bad_input, "a message of {} bytes was to be sent, at most {} are allowed", text.size(),
                max_frame);
  const auto length = static_cast<std::uint32_t>(text.size());
  std::string head(4, '\0');
  std::memcpy(head.data(), &length, 4);
  return head;
}

/// Drops what lies before `start` when that is worth the move.
void drop_front(std::string& buffer, std::size_t& start) {
  if (start == buffer.size()) {
    buffer.clear();
    start = 0;
    if (buffer.capacity() > most_at_once) buffer.shrink_to_fit();
  } else if (start > (std::size_t{1} << 20)) {
    buffer.erase(0, start);
    start = 0;
  }
}

}  // namespace

bool send_frame(int socket, std::string_view text) {
  auto message = length_of(text);
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
  for (std::size_t taken = 0; taken < most_at_once && buffer_.size() - start_ <= limit_ + 4;) {
    const auto n = ::recv(socket, chunk.data(), chunk.size(), flags);
    if (n > 0) {
      buffer_.append(chunk.data(), static_cast<std::size_t>(n));
      taken += static_cast<std::size_t>(n);
      flags = MSG_DONTWAIT;
    } else if (n == 0) {
      return Status::closed;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Status::open;
    } else if (errno != EINTR) {
      return Status::closed;
    }
  }
  return Status::open;
}

std::optional<std::string> FrameReader::next() {
  if (buffer_.size() - start_ < 4) return std::nullopt;
  std::uint32_t length = 0;
  std::memcpy(&length, buffer_.data() + start_, 4);
  if (length > limit_)
    throw Error(ErrorCode::corrupt, "a message of {} bytes was announced, at most {} are allowed", length, limit_);
  if (buffer_.size() - start_ - 4 < length) return std::nullopt;
  auto text = buffer_.substr(start_ + 4, length);
  start_ += 4 + std::size_t{length};
  drop_front(buffer_, start_);
  return text;
}

Channel::Channel(int socket, std::size_t limit) : socket_(socket), limit_(limit), reader_(limit) {
  ::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) | O_NONBLOCK);
}

Channel::~Channel() { ::close(socket_); }

void Channel::set_limit(std::size_t limit) {
  limit_ = limit;
  reader_.set_limit(limit);
}

bool Channel::send(std::string_view text) {
  if (output_.size() - sent_ > limit_) return false;
  if (!has_output()) moved_ = Clock::now();
  output_ += length_of(text);
  output_ += text;
  return flush();
}

bool Channel::flush() {
  while (has_output()) {
    const auto n = ::send(socket_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent_ += static_cast<std::size_t>(n);
      moved_ = Clock::now();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      return false;
    }
  }
  drop_front(output_, sent_);
  return true;
}

FrameReader::Status Channel::fill() {
  moved_ = Clock::now();  // called when there is something to read
  return reader_.fill(socket_, false);
}

double Channel::stalled_s(Clock::time_point now) const {
  if (!has_output() && !reader_.has_part()) return 0;
  return std::chrono::duration<double>(now - moved_).count();
}

}  // namespace frazil::exec
