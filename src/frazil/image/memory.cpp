#include <sys/mman.h>

#include <cstdlib>
#include <deque>
#include <mutex>
#include <new>
#include <unordered_map>

#include "frazil/image/image.hpp"

namespace frazil {
namespace {

constexpr std::size_t line = 64, large_page = std::size_t{2} << 20U;

/// Large blocks that were freed last: fresh pages cost the kernel more time to clear than most passes over them take. Their
/// lengths have a little room, so that an image and its transform fit into the same block.
class Reserve {
 public:
  static Reserve& instance() {
    static auto* reserve = new Reserve;  // never destroyed: images may outlive it
    return *reserve;
  }

  void* take(std::size_t bytes) {
    const std::size_t length = (bytes + bytes / 64 + large_page - 1) / large_page * large_page;
    const std::lock_guard lock(mutex_);
    for (auto i = spare_.rbegin(); i != spare_.rend(); ++i)
      if (i->length == length) {
        void* memory = i->memory;
        held_ -= length;
        spare_.erase(std::next(i).base());
        length_of_[memory] = length;
        return memory;
      }
    void* memory = nullptr;
    if (::posix_memalign(&memory, large_page, length) != 0) throw std::bad_alloc();
    ::madvise(memory, length, MADV_HUGEPAGE);  // a wish: without it all is the same but slower
    length_of_[memory] = length;
    return memory;
  }

  /// @return false when the block is not one of these
  bool give(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = length_of_.find(memory);
    if (found == length_of_.end()) return false;
    const std::size_t length = found->second;
    length_of_.erase(found);
    if (length < least_kept || length > most_held / 2) {
      std::free(memory);
      return true;
    }
    spare_.push_back({memory, length});
    held_ += length;
    while (held_ > most_held) {
      std::free(spare_.front().memory);
      held_ -= spare_.front().length;
      spare_.pop_front();
    }
    return true;
  }

 private:
  static constexpr std::size_t most_held = std::size_t{144} << 20U, least_kept = std::size_t{32} << 20U;
  struct Block {
    void* memory;
    std::size_t length;
  };
  std::mutex mutex_;
  std::unordered_map<void*, std::size_t> length_of_;  ///< of blocks in use
  std::deque<Block> spare_;                           ///< oldest first
  std::size_t held_ = 0;
};

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  if (bytes >= large_page) return Reserve::instance().take(bytes);
  void* memory = nullptr;
  if (::posix_memalign(&memory, line, bytes) != 0) throw std::bad_alloc();
  return memory;
}

void free_aligned(void* memory) {
  const bool maybe_large = reinterpret_cast<std::uintptr_t>(memory) % large_page == 0;  // NOLINT: only looked at
  if (memory != nullptr && maybe_large && Reserve::instance().give(memory)) return;
  std::free(memory);
}

}  // namespace frazil
