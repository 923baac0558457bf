#include "frazil/flow/cache.hpp"

#include <algorithm>

namespace frazil::flow {

std::shared_ptr<const void> Cache::find(std::string_view name) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->value;
}

/// What alone exceeds the bound is not kept: its owner has it.
void Cache::keep(const std::string& name, std::shared_ptr<const void> value, std::size_t bytes) {
  if (bytes > max_bytes_ || max_count_ == 0) return;
  entries_.push_front({name, std::move(value), bytes});
  bytes_ += bytes;
  while (entries_.size() > max_count_ || bytes_ > max_bytes_) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

std::size_t Cache::count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::size_t Cache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace frazil::flow
