// What a process loads or computes once and uses in many tasks, bounded in number and bytes; the longest unused goes
// first.
#pragma once

#include <concepts>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace frazil::flow {

namespace detail {

/// Memory that a value holds, in bytes: what it says of itself, its elements, or its own size.
template <class T>
std::size_t bytes_of(const T& value) {
  if constexpr (requires {
                  { value.memory_bytes() } -> std::convertible_to<std::size_t>;
                })
    return value.memory_bytes();
  else if constexpr (requires { value.size() * sizeof(*value.begin()); })
    return sizeof(T) + value.size() * sizeof(*value.begin());
  else if constexpr (requires { value.pixels().size_bytes(); })
    return sizeof(T) + value.pixels().size_bytes();
  else
    return sizeof(T);
}

}  // namespace detail

/// Used from all threads of a process.
class Cache {
 public:
  explicit Cache(std::size_t max_count = 16, std::size_t max_bytes = std::size_t{1} << 30)
      : max_count_(max_count), max_bytes_(max_bytes) {}
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// The value kept under this key, or what `make()` gives: it is called once for each key, while others wait. Whoever
  /// holds a value may use it after it has left the cache. What `make` throws goes on, and nothing is kept.
  /// @param key  names everything that the value follows from, files by their content
  template <class T, class Make>
  [[nodiscard]] std::shared_ptr<const T> get(const std::string& key, Make&& make) {
    const std::string name = std::string(typeid(T).name()) + " " + key;
    const std::lock_guard lock(mutex_);
    if (auto found = find(name)) return std::static_pointer_cast<const T>(std::move(found));
    auto value = std::make_shared<const T>(std::forward<Make>(make)());
    keep(name, value, detail::bytes_of(*value));
    return value;
  }

  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Entry {
    std::string name;
    std::shared_ptr<const void> value;
    std::size_t bytes = 0;
  };
  [[nodiscard]] std::shared_ptr<const void> find(std::string_view name);
  void keep(const std::string& name, std::shared_ptr<const void> value, std::size_t bytes);

  const std::size_t max_count_, max_bytes_;
  mutable std::recursive_mutex mutex_;  ///< what is made may be made of what is kept
  std::list<Entry> entries_;            ///< last used first
  std::size_t bytes_ = 0;
};

}  // namespace frazil::flow
