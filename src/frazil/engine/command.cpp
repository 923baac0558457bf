#include "frazil/engine/command.hpp"

#include <pwd.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace frazil::engine {
namespace {

constexpr auto ended = "the engine has ended before it came to this";

}  // namespace

Mailbox::Mailbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Mailbox::~Mailbox() {
  close();
  ::close(event_);
}

Done Mailbox::post(Command command) {
  std::future<Reply> answer;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) throw Error(ErrorCode::cancelled, "{}", ended);
    letters_.push_back({std::move(command), {}});
    answer = letters_.back().answer.get_future();
  }
  ::eventfd_write(event_, 1);
  auto reply = answer.get();
  if (const auto* refusal = std::get_if<Refusal>(&reply)) throw Error(refusal->code, "{}", refusal->reason);
  return std::get<Done>(std::move(reply));
}

void Mailbox::serve(const std::function<Done(const Command&)>& execute) {
  eventfd_t ignored = 0;
  ::eventfd_read(event_, &ignored);
  std::deque<Letter> letters;
  {
    const std::lock_guard lock(mutex_);
    letters.swap(letters_);
  }
  for (auto& letter : letters) {
    try {
      letter.answer.set_value(execute(letter.command));
    } catch (const Error& error) {
      letter.answer.set_value(Refusal{error.code(), error.what()});
    } catch (const std::exception& error) {
      letter.answer.set_value(Refusal{ErrorCode::bug, error.what()});
    }
  }
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto& letter : letters_) letter.answer.set_value(Refusal{ErrorCode::cancelled, ended});
  letters_.clear();
}

std::string login_name() {
  if (const char* before = std::getenv("SUDO_USER"); before != nullptr && ::geteuid() == 0) return before;
  std::array<char, 4096> space{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, space.data(), space.size(), &found) == 0 && found != nullptr)
    return found->pw_name;
  return "user " + std::to_string(::geteuid());
}

}  // namespace frazil::engine
