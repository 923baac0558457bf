#include "frazil/exec/orders.hpp"

#include "frazil/base/error.hpp"
#include "frazil/exec/messages.hpp"

namespace frazil::exec {

void Orders::take(const std::string& text) {
  const Message message(text);
  if (message.has_tasks()) {
    others_.push_back(text);
  } else if (const auto cancel = message.find<Cancel>()) {
    all_ = all_ || cancel->tasks.empty();
    cancelled_.insert(cancel->tasks.begin(), cancel->tasks.end());
  } else if (const auto yield = message.find<Yield>()) {
    yielding_.insert(yield->number);
  } else if (const auto resume = message.find<Resume>()) {
    yielding_.erase(resume->number);
  }
}

void Orders::look(bool wait) {
  if (!closed_ && reader_.fill(socket_, wait) == FrameReader::Status::closed) closed_ = true;
  try {
    while (const auto text = reader_.next()) take(*text);
  } catch (const Error&) {
    closed_ = true;  // whoever speaks so is no engine of ours
  }
}

void Orders::check(std::uint64_t task) {
  const auto now = Clock::now();
  if (now - last_.load() < std::chrono::milliseconds(20)) return;
  const std::lock_guard lock(mutex_);  // those who come while one pauses, pause here
  last_ = now;
  look(false);
  if (yielding_.contains(task) && !unwanted(task)) pause(task);
  if (unwanted(task)) throw Error(ErrorCode::cancelled, "the engine asked to stop");
}

/// Every thread of the task comes to `check` sooner or later and waits for this one.
void Orders::pause(std::uint64_t task) {
  if (!send(encode(Paused{task}))) closed_ = true;
  while (yielding_.contains(task) && !unwanted(task)) look(true);
  last_ = Clock::now();
}

bool Orders::should_yield(std::uint64_t task) {
  const std::lock_guard lock(mutex_);
  look(false);
  return yielding_.contains(task);
}

bool Orders::is_cancelled(std::uint64_t task) {
  const std::lock_guard lock(mutex_);
  look(false);
  return unwanted(task);
}

bool Orders::send(std::string_view text) {
  const std::lock_guard lock(sending_);
  return send_frame(socket_, text);
}

void Orders::forget() {
  const std::lock_guard lock(mutex_);
  cancelled_.clear();
  yielding_.clear();
  all_ = false;
}

}  // namespace frazil::exec
