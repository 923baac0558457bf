// Watches the files of one source in a thread of its own: finds, checks and reads them, and reports in order.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frazil/engine/contents.hpp"
#include "frazil/engine/listing.hpp"
#include "frazil/flow/protocol.hpp"

namespace frazil::engine {

/// What a watcher has seen of one file.
struct Sighting {
  enum class Kind {
    complete,   ///< whole: has hash and record; `reason`: what it lacks all the same
    duplicate,  ///< has the content of another file of the stream: `reason`
    excluded,   ///< left out, by a pattern or because it is something else: `reason`
    broken,     ///< will not become whole, or cannot be read: `reason`
    growing,    ///< not complete yet: `reason`; reported when it changes
    waiting,    ///< incomplete for longer than the patience: `reason`; reported once
    gone,       ///< removed before it was complete
    horizon,    ///< `order` is the first file still growing, empty: none
    unread,     ///< the folder, or a part of it, could not be listed: `reason`; what is there is not known
    skipped,    ///< a folder is not looked into: `reason`; reported once
    unfit,      ///< `size` files are none of the stream, e.g. `path`; `reason`: one whose ending would be right
    scanned     ///< one look at the folder is over, and it has shown all of it
  } kind = Kind::scanned;
  int step = 0;
  std::string path;  ///< relative to the watched folder, printable
  std::filesystem::path file;
  std::string order, reason;
  std::string hash;  ///< sample_hash; behind it the content_hash where only that told the file from its former self
  std::int64_t size = 0, mtime_ns = 0;
  Json record;
  bool companions = false;             ///< files of this stream are known to have companions
  std::vector<Finding> foreseen = {};  ///< of a complete one: what would stop the steps after the source
  std::chrono::steady_clock::time_point seen = std::chrono::steady_clock::now();
};

/// Looks when the kernel tells of changes and, because it does not on network mounts, every `poll_s` in any case.
class Watcher {
 public:
  /// The file of the stream that has some content, and those that have the same.
  struct Twin {
    std::string path;
    std::filesystem::path file;
    std::vector<std::string> others = {};  ///< left out for that: paths
  };
  struct Settings {
    int step = 0;
    flow::Watch watch;
    const flow::Protocol* protocol = nullptr;
    Json params;
    std::string link_folder;                           ///< records name files as link_folder/path
    std::unordered_map<std::string, KnownFile> known;  ///< by relative path
    double poll_s = 1;
    bool companions = false;                              ///< files of this stream are known to have companions
    std::unordered_map<std::string, Twin> contents = {};  ///< files of the stream by their sample hash
    /// What would stop the steps after the source, of the record of a file; reads files. None: nobody asks.
    std::function<std::vector<Finding>(const Json& record)> foresee = {};
    std::shared_ptr<Contents> read = std::make_shared<Contents>();  ///< what they hold, where that is known
  };
  /// `report` is called from the watcher's thread, for complete files in the order of their names within one look.
  Watcher(Settings settings, std::function<void(Sighting)> report);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  struct Pending {  // seen, not finished with
    std::filesystem::path file;
    KnownFile state;
    double since = 0;  ///< unchanged since
    bool named = false;
    std::string reason = {};  ///< as reported last
  };
  using Seen = Listing::File;

  void loop(const std::stop_token& stop);
  void look(const std::stop_token& stop);
  [[nodiscard]] Listing list(bool all);
  [[nodiscard]] Listing list_new(bool all);
  [[nodiscard]] bool is_wanted(const std::string& path, bool all);
  [[nodiscard]] bool is_fit(const std::string& path);
  [[nodiscard]] Sighting sighting(Sighting::Kind kind, std::string path = {}, std::string reason = {}) const;
  void tell_left(const Listing& listing);
  std::string look_at(const Listing& listing, const std::stop_token& stop);
  void look_for_gone();
  void set_horizon(const std::string& order, const std::string& path);
  bool examine(const Seen& seen);
  bool finish(Sighting::Kind kind, const Seen& seen, Sighting sighting, std::string reason);
  bool keep_waiting(const Seen& seen, Pending& pending, const std::string& reason, bool may_name);
  [[nodiscard]] bool is_settled(const Seen& seen, double unchanged_s, bool is_doubtful) const;
  [[nodiscard]] std::string purpose_of(const Seen& seen) const;
  bool take(const Seen& seen, Pending& pending, std::string reason);
  [[nodiscard]] std::string same_as(const Seen& seen, const std::string& hash) const;
  [[nodiscard]] bool is_touched(const Seen& seen, const std::string& samples) const;
  [[nodiscard]] std::string identity_of(const Seen& seen, const std::string& samples);
  void look_again_at_doubtful();
  void note_content(const Seen& seen, const std::string& hash);
  bool lacks_companion(const Seen& seen);
  void note_events(const char* events, std::size_t bytes);
  void add_inotify(const std::filesystem::path& folder);
  void wait(const std::stop_token& stop);

  Settings settings_;
  std::function<void(Sighting)> report_;
  std::filesystem::path base_;
  std::string pattern_;  ///< of relative paths; empty: any
  std::map<std::string, Pending> pending_;
  std::map<std::string, int> watched_;
  std::unordered_map<int, std::string> folder_of_watch_;
  std::unordered_set<std::string> closed_;  ///< files that a writer was seen to close, or that were moved here whole
  std::set<std::string> told_;              ///< what was said of folders
  std::unordered_map<std::string, std::string> hash_of_;  ///< by path: of the files in settings_.contents
  std::unordered_map<std::string, KnownFile> touched_;    ///< written again with the same samples: read one a look
  bool has_compared_ = false;                             ///< in this look
  struct Unfit {                                          ///< files that are none of the stream
    std::int64_t count = 0;
    std::string example, near_miss;  ///< the last in order; one whose ending would be right
  } unfit_, unfit_told_;
  std::string unread_;  ///< why the last look did not show all
  std::string horizon_;
  std::deque<std::filesystem::path> alone_;  ///< the last files taken before any companion was seen
  int inotify_ = -1, wake_ = -1;
  int taken_ = 0;         ///< files
  double look_s_ = 0;     ///< how long the last look took
  double all_again_ = 0;  ///< when those dealt with are looked at again: they may have been rewritten
  std::jthread thread_;
};

/// The pattern by which a file is left out, if any: one that fits the whole relative path or the file name.
[[nodiscard]] const std::string* excluded_by(const std::vector<std::string>& patterns, const std::string& path);

/// Whether a source takes a file by its path below the folder. @param pattern  of such paths; empty: any whose
/// extension the source knows
[[nodiscard]] bool fits(const flow::Watch& watch, const std::string& pattern, const std::string& path);

/// Splits "folder", "folder/*.tiff" or one file into the folder to watch and a pattern of paths relative to it.
[[nodiscard]] std::pair<std::filesystem::path, std::string> split_pattern(const std::string& files);

}  // namespace frazil::engine
