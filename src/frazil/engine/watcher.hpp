// Watches the files of one source in a thread of its own: finds, checks, hashes and reads them, and reports in order.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::engine {

/// What a watcher has seen of one file.
struct Sighting {
  enum class Kind {
    complete,  ///< whole: has hash and record; `reason`: what it lacks all the same
    excluded,  ///< matches a pattern of those to leave out: `reason`
    broken,    ///< will not become whole, or cannot be read: `reason`
    growing,   ///< not complete yet: `reason`; reported when it changes
    waiting,   ///< incomplete for longer than the patience: `reason`; reported once
    gone,      ///< removed before it was complete
    horizon,   ///< `order` is the first file still growing, empty: none
    scanned    ///< one look at the folder is over
  } kind = Kind::scanned;
  int step = 0;
  std::string path;  ///< relative to the watched folder
  std::filesystem::path file;
  std::string order, hash, reason;
  std::int64_t size = 0, mtime_ns = 0;
  Json record;
  bool companions = false;  ///< files of this stream are known to have companions
  std::chrono::steady_clock::time_point seen = std::chrono::steady_clock::now();
};

/// Size and time under which a file has been dealt with.
struct KnownFile {
  std::int64_t size = 0, mtime_ns = 0;
};

/// Looks when the kernel tells of changes and, because it does not on network mounts, every `poll_s` in any case.
class Watcher {
 public:
  struct Settings {
    int step = 0;
    flow::Watch watch;
    const flow::Protocol* protocol = nullptr;
    Json params;
    std::string link_folder;                           ///< records name files as link_folder/path
    std::unordered_map<std::string, KnownFile> known;  ///< by relative path
    double poll_s = 1;
    bool companions = false;  ///< files of this stream are known to have companions
  };
  /// `report` is called from the watcher's thread, for complete files in the order of their names within one look.
  Watcher(Settings settings, std::function<void(Sighting)> report);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  struct Pending {  // seen, not finished with
    KnownFile state;
    double since = 0;  ///< unchanged since
    bool named = false;
    std::string reason = {};  ///< as reported last
  };
  struct Seen {
    std::string path, order;
    std::filesystem::path file;
    KnownFile state;
  };

  void loop(const std::stop_token& stop);
  void look(const std::stop_token& stop);
  [[nodiscard]] std::vector<Seen> list(bool all) const;
  [[nodiscard]] std::vector<Seen> list_new(bool all) const;
  bool examine(const Seen& seen);
  bool lacks_companion(const Seen& seen);
  void watch_folders();
  void add_inotify(const std::filesystem::path& folder);
  void wait(const std::stop_token& stop);

  Settings settings_;
  std::function<void(Sighting)> report_;
  std::filesystem::path base_;
  std::string pattern_;  ///< of relative paths; empty: any
  std::map<std::string, Pending> pending_;
  std::map<std::string, int> watched_;
  std::string horizon_;
  std::deque<std::filesystem::path> alone_;  ///< the last files taken before any companion was seen
  int inotify_ = -1, wake_ = -1;
  double look_s_ = 0;     ///< how long the last look took
  double all_again_ = 0;  ///< when those dealt with are looked at again: they may have been rewritten
  std::jthread thread_;
};

/// The pattern by which a file is left out, if any: one that fits the whole relative path or the file name.
[[nodiscard]] const std::string* excluded_by(const std::vector<std::string>& patterns, const std::string& path);

/// Splits "folder", "folder/*.tiff" or one file into the folder to watch and a pattern of paths relative to it.
[[nodiscard]] std::pair<std::filesystem::path, std::string> split_pattern(const std::string& files);

}  // namespace frazil::engine
