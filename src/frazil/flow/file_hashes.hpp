// Contents of the files that parameters name: what goes into reuse keys in place of their names.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace frazil::flow {

/// Remembers hashes by path, size, time and inode, so that a file is read once however often it is asked for. A file
/// that is not there keeps the content it was last known to have: a project can be looked at without its references.
class FileHashes {
 public:
  FileHashes() = default;
  /// What `text` gave; anything else counts as nothing known.
  explicit FileHashes(std::string_view text);
  /// For a store.
  [[nodiscard]] std::string text() const;

  /// "" for no name; else a text that is the same for equal contents, and for one unknown file that is not there.
  [[nodiscard]] std::string of(const std::string& path);
  /// Files asked for so far whose content is no longer what was told.
  [[nodiscard]] std::vector<std::string> changed() const;

 private:
  struct Known {
    std::int64_t size = 0, mtime_ns = 0;
    std::uint64_t inode = 0;
    std::string hash;
  };
  static bool look(const std::string& path, Known& state);
  std::map<std::string, Known> known_;  ///< by path
};

}  // namespace frazil::flow
