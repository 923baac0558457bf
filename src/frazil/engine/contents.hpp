// What the files of a stream hold, as far as somebody has read them to their end.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace frazil::engine {

/// Settings of the store whose keys begin so, and end in the reference of a file, hold its content_hash.
inline const std::string content_key = "content:";

/// By path: the content_hash that was read first. Shared by the engine, which hears of readings, and the watcher's
/// thread, which compares files with them.
class Contents {
 public:
  /// Somebody has read a file. @return whether it was not known what it holds; one that holds something else than was
  /// known is doubtful
  bool note(const std::string& path, const std::string& content) {
    const std::lock_guard lock(mutex_);
    auto& known = by_path_[path];
    if (known.empty()) {
      known = content;
      return true;
    }
    if (known != content) doubtful_.insert(path);
    return false;
  }
  /// The file holds that from now on; empty: something that nobody has read yet.
  void set(const std::string& path, const std::string& content) {
    const std::lock_guard lock(mutex_);
    by_path_[path] = content;
  }
  /// Empty: not known.
  [[nodiscard]] std::string of(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto known = by_path_.find(path);
    return known == by_path_.end() ? std::string() : known->second;
  }
  /// Files that were found to hold something else than before, once.
  [[nodiscard]] std::unordered_set<std::string> take_doubtful() {
    const std::lock_guard lock(mutex_);
    return std::exchange(doubtful_, {});
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::string> by_path_;
  std::unordered_set<std::string> doubtful_;
};

}  // namespace frazil::engine
