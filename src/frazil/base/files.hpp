// Files that are either whole or absent: written under a temporary name, synced, renamed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace frazil {

/// A file being written under a temporary name beside its final one. `commit` syncs and renames it;
/// destroyed without commit, the temporary file is removed.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Where to write now.
  [[nodiscard]] const std::filesystem::path& temporary() const { return temporary_; }
  /// fsync of file, rename, fsync of folder. @throws Error(io|resource) naming the file and the cause
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  bool committed_ = false;
};

/// Replaces `path` by `text` atomically. @throws Error(io|resource)
void write_text(const std::filesystem::path& path, std::string_view text);
/// Whole file as text. @throws Error(not_found|io)
[[nodiscard]] std::string read_text(const std::filesystem::path& path);
/// fsync of a file or folder. @throws Error(io)
void sync_path(const std::filesystem::path& path);
/// Creates the folder and its parents. @throws Error(io)
void make_folders(const std::filesystem::path& folder);

}  // namespace frazil
