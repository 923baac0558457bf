#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "frazil/image/image.hpp"

namespace frazil {
namespace {

constexpr std::size_t line = 64, large_page = std::size_t{2} << 20U;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FRAZIL_BLOCKS_ALONE
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FRAZIL_BLOCKS_ALONE
#endif
#ifdef FRAZIL_BLOCKS_ALONE
constexpr bool pooled = false;  // so that reading beyond one is seen
#else
constexpr bool pooled = true;
#endif

/// Large blocks, cut out of one range of addresses in large pages. Pages that were freed are given out again first,
/// whatever the sizes of the blocks: fresh ones cost the kernel more time to clear than most passes over them take. As
/// much as half of what is in use is held back for that, or a little when nothing is.
class Reserve {
 public:
  static Reserve& instance() {
    static auto* reserve = new Reserve;  // never destroyed: images may outlive it
    return *reserve;
  }

  /// @return nullptr when the range has no room
  void* take(std::size_t bytes) {
    const std::size_t pages = (bytes + large_page - 1) / large_page;
    const std::lock_guard lock(mutex_);
    auto best = free_.end();
    std::size_t most_warm = 0;
    for (auto range = free_.begin(); range != free_.end(); ++range) {
      if (range->second < pages) continue;
      const std::size_t warm = warm_in(range->first, pages);
      if (best != free_.end() && (warm < most_warm || (warm == most_warm && range->second >= best->second))) continue;
      best = range;
      most_warm = warm;
    }
    if (best == free_.end()) return nullptr;
    const auto [first, length] = *best;
    free_.erase(best);
    if (length > pages) free_.emplace(first + pages, length - pages);
    mark(first, pages, false);
    held_ -= most_warm;
    in_use_ += pages;
    void* memory = base_ + first * large_page;
    pages_of_[memory] = pages;
    return memory;
  }

  /// @return false when the block is not one of these
  bool give(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto found = pages_of_.find(memory);
    if (found == pages_of_.end()) return false;
    const std::size_t pages = found->second,
                      first = static_cast<std::size_t>(static_cast<std::byte*>(memory) - base_) / large_page;
    pages_of_.erase(found);
    mark(first, pages, true);
    held_ += pages;
    in_use_ -= pages;
    auto range = free_.emplace(first, pages).first;
    if (const auto next = std::next(range); next != free_.end() && next->first == first + pages) {
      range->second += next->second;
      free_.erase(next);
    }
    if (range != free_.begin())
      if (const auto before = std::prev(range); before->first + before->second == first) {
        before->second += range->second;
        free_.erase(range);
      }
    cool(std::max(least_held, in_use_ / 2));
    return true;
  }

 private:
  static constexpr std::size_t range_pages = std::size_t{1}
                                             << 16U;  ///< 128 GiB of addresses, which alone take no memory
  static constexpr std::size_t least_held = (std::size_t{144} << 20U) / large_page;

  Reserve() {
    if (!pooled) return;
    void* range = ::mmap(nullptr, (range_pages + 1) * large_page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return;  // addresses are limited: every block alone
    const auto begin = reinterpret_cast<std::uintptr_t>(range);
    base_ = static_cast<std::byte*>(range) + ((begin + large_page - 1) / large_page * large_page - begin);
    ::madvise(base_, range_pages * large_page, MADV_HUGEPAGE);  // a wish: without it all is the same but slower
    free_.emplace(0, range_pages);
  }

  [[nodiscard]] std::size_t warm_in(std::size_t first, std::size_t pages) const {
    const std::size_t end = std::min(first + pages, warm_.size());
    return first < end ? static_cast<std::size_t>(std::count(warm_.begin() + static_cast<std::ptrdiff_t>(first),
                                                             warm_.begin() + static_cast<std::ptrdiff_t>(end), char{1}))
                       : 0;
  }

  void mark(std::size_t first, std::size_t pages, bool warm) {
    if (warm_.size() < first + pages) warm_.resize(first + pages, 0);
    std::fill_n(warm_.begin() + static_cast<std::ptrdiff_t>(first), pages, static_cast<char>(warm));
  }

  /// Returns free pages from the end of the range until no more than `most` are held.
  void cool(std::size_t most) {
    for (std::size_t end = warm_.size(); held_ > most && end > 0; --end) {
      if (warm_[end - 1] == 0) continue;
      ::madvise(base_ + (end - 1) * large_page, large_page, MADV_DONTNEED);
      warm_[end - 1] = 0;
      --held_;
    }
    while (!warm_.empty() && warm_.back() == 0) warm_.pop_back();
  }

  std::mutex mutex_;
  std::byte* base_ = nullptr;
  std::map<std::size_t, std::size_t> free_;          ///< first page of each free range, and its pages
  std::unordered_map<void*, std::size_t> pages_of_;  ///< of blocks in use
  std::vector<char> warm_;                           ///< pages that are free and still hold memory
  std::size_t held_ = 0, in_use_ = 0;                ///< pages
};

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  if (bytes >= large_page)
    if (void* memory = Reserve::instance().take(bytes)) return memory;
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
