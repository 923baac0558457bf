// Where files come in: the watchers, their common inbox, and what has become of each file that a source has seen.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "frazil/engine/guards.hpp"
#include "frazil/engine/watcher.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

/// How one file stands.
enum class FileState {
  growing,     ///< not whole yet
  incomplete,  ///< the same, and named, because it stays so
  gone,        ///< removed before it was whole
  item,        ///< in the stream
  duplicate,   ///< has the content of another
  broken,      ///< cannot be read, and has stopped changing
  excluded     ///< left out: by a pattern, or because it is something else
};
/// As it stands in the store.
[[nodiscard]] std::string_view to_string(FileState state);

/// What a sighting comes to, for whoever keeps store and graph.
struct Found {
  enum class Kind {
    file,     ///< a file has come to `state`, for `reason`; an item under `subject`
    damaged,  ///< a file of the stream was changed and cannot be read any more: `reason`; its item stays
    folder,   ///< a folder is not looked into, or cannot be listed: `reason`
    horizon   ///< sighting.order is the first file still growing, empty: none
  } kind = Kind::file;
  Sighting sighting;
  FileState state = FileState::item;
  std::string subject, reason;
  std::string replaced = {};     ///< subject whose place the item takes: the file's former content
  bool first_companion = false;  ///< from now on files of this source are known to have companions
};

/// Counts of the files of one source. All that were seen are `files`.
struct IntakeCounts {
  int items = 0, replaced = 0, duplicates = 0, broken = 0, excluded = 0;
  int growing = 0, incomplete = 0;  ///< incomplete: named ones
  [[nodiscard]] int files() const { return items + replaced + duplicates + broken + excluded + growing + incomplete; }
};

/// Runs one watcher a source and sorts what they report. Neither writes nor reads the store, and knows no graph: its
/// owner writes down what `take` returns, and tells it at the start what is stored.
class Intake {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Intake(std::size_t steps);
  ~Intake();
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  /// The files of a source are told anew: what was counted is forgotten, what was seen of its folder is not.
  void forget(int step, flow::Watch watch);
  /// What is stored of a file; of several about one path the last holds. @param file  where it lies
  void recall(int step, const store::FileRow& row, std::filesystem::path file);

  /// A file was read to its end. @return whether what it holds was not known
  bool note_read(int step, const std::string& path, const std::string& content) {
    return source(step).read->note(path, content);
  }

  /// Starts a watcher. @param closed  the stream had ended before
  void start(Watcher::Settings settings, bool closed);
  /// Ends all watchers.
  void stop();
  /// Files that are neither taken nor named when the watching ends: to be written down as incomplete.
  [[nodiscard]] std::vector<Found> unfinished(int step);
  /// Readable while sightings wait.
  [[nodiscard]] int descriptor() const { return event_; }
  [[nodiscard]] bool empty() const;
  /// Takes up to `most` sightings and says what they come to, in order.
  [[nodiscard]] std::vector<Found> take(std::size_t most);

  /// Ends the stream at the next look.
  void close(int step) { source(step).by_hand = true; }
  /// True when the stream's end has come: as many files as expected, none for long enough, or by hand. Files that come
  /// after that open it again, and are gathered: it has ended again when no further one has come for a while.
  [[nodiscard]] bool has_ended(int step);
  /// When the first of the streams may end for want of files.
  [[nodiscard]] std::optional<Clock::time_point> next_end() const;

  [[nodiscard]] const flow::Watch& watch(int step) const { return source(step).watch; }
  /// The folder has been looked at once.
  [[nodiscard]] bool is_scanned(int step) const { return source(step).scanned; }
  [[nodiscard]] const std::string& horizon(int step) const { return source(step).horizon; }
  [[nodiscard]] const IntakeCounts& counts(int step) const { return source(step).counts; }
  /// Incomplete files, named or not, and what they lack, by path.
  [[nodiscard]] std::map<std::string, std::string> growing(int step) const;
  /// What people call the file; no two of a source have the same.
  [[nodiscard]] std::string label(int step, const std::string& path);
  /// How the stream stands, for whoever watches over it; `step` and `open` are left to the caller.
  [[nodiscard]] StreamNow now(int step) const;
  /// Why the folder cannot be looked at; empty: it can.
  [[nodiscard]] const std::string& outage(int step) const { return source(step).outage; }

 private:
  struct File {  // one file as it stands
    FileState state = FileState::growing;
    std::string reason;
    KnownFile known;
    std::string hash, subject;
    double time = 0;        ///< when it came to this state, seconds since 1970
    bool is_seen = false;   ///< since the watching began
    bool was_left = false;  ///< incomplete when the watching ended last time; nobody has waited for it since
  };
  struct Source {
    std::unique_ptr<Watcher> watcher;
    flow::Watch watch;
    bool scanned = false, by_hand = false, was_closed = false, companions = false;
    Clock::time_point started;  ///< of its watcher
    std::string horizon;
    Clock::time_point last_new = Clock::now();
    Clock::time_point late_until{};     ///< files that come after the end are waited for so long, to be taken together
    std::map<std::string, File> files;  ///< by path
    std::map<std::string, const File*> unfinished;            ///< those of them that are growing or incomplete
    std::unordered_map<std::string, Watcher::Twin> contents;  ///< items by their sample hash
    std::shared_ptr<Contents> read = std::make_shared<Contents>();
    std::unordered_map<std::string, std::string> path_of_label;  ///< of the items
    IntakeCounts counts;
    int left = 0;  ///< of the incomplete files, those that were left so and may be whole at the next look
    std::string outage;
    int unfit = 0;  ///< files beside them that nothing takes
    std::string unfit_example, near_miss;
  };

  Source& source(int step) { return sources_.at(static_cast<std::size_t>(step)); }
  [[nodiscard]] const Source& source(int step) const { return sources_.at(static_cast<std::size_t>(step)); }
  void put(Sighting sighting);
  void sort(Sighting sighting, std::vector<Found>& findings);
  static bool settle(Source& source, Found& finding);
  void first_scan(int step, std::vector<Found>& findings);
  static bool is_looking(const Source& source);
  static void count(Source& source, FileState state, int by);
  static void take_out(Source& source, const File& file);
  static void note(Source& source, const std::string& path, const File& file);

  std::vector<Source> sources_;  ///< by step
  mutable std::mutex mutex_;
  std::deque<Sighting> inbox_;
  std::atomic<bool> leaving_ = false;  ///< nobody empties the inbox any more
  int event_ = -1;
};

}  // namespace frazil::engine
