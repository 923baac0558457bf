// One look at a folder with all below it: which files are there, and what could not be looked at.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace frazil::engine {

/// Size and time under which a file has been dealt with.
struct KnownFile {
  std::int64_t size = 0, mtime_ns = 0;
  friend bool operator==(const KnownFile&, const KnownFile&) = default;
};

/// Size and time of a regular file. @return false if there is none
[[nodiscard]] bool find_state(const std::filesystem::path& file, KnownFile& state);

/// What a path below the folder is called there, in the bytes of the file system; empty for the folder itself.
[[nodiscard]] std::string relative_to(const std::filesystem::path& base, const std::filesystem::path& path);

struct Listing {
  struct File {
    std::string path;  ///< below the folder, as it can be shown and stored (printable_name)
    std::string order;
    std::filesystem::path file;
    KnownFile state = {};
  };
  struct Left {  ///< a folder that was not looked into; path as of files, empty: the folder itself
    std::string path, reason;
  };
  std::vector<File> files;    ///< sorted by order key
  std::vector<Left> unread;   ///< could not be listed, or not to the end: files may be there that are not named here
  std::vector<Left> skipped;  ///< left out on purpose: projects of frazil, folders that this user may not read
};

/// Lists a folder and all below it. Hidden files and folders are passed over. Links to folders are followed, each
/// folder is listed once, whichever ways lead to it, under its own name rather than that of a link.
/// @param wanted  of a path relative to the folder, in the bytes of the file system; nothing else is read of the others
/// @param entering  called for each folder before it is listed
[[nodiscard]] Listing list_files(const std::filesystem::path& base,
                                 const std::function<bool(const std::string& path)>& wanted,
                                 const std::function<void(const std::filesystem::path& folder)>& entering);

}  // namespace frazil::engine
