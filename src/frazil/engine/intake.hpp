// Where files come in: the watchers, their common inbox, and what has become of each file that a source has seen.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "frazil/engine/watcher.hpp"

namespace frazil::engine {

/// What a sighting comes to, for whoever keeps store and graph.
struct Finding {
  enum class Kind {
    item,        ///< new: takes its place under `subject`
    duplicate,   ///< has the content of another file: `reason`
    broken,      ///< set aside: `reason`
    excluded,    ///< left out by a pattern: `reason`
    incomplete,  ///< named, because it stays incomplete: `reason`
    horizon      ///< sighting.order is the first file still growing, empty: none
  } kind = Kind::item;
  Sighting sighting;
  std::string subject, reason;
  bool first_companion = false;  ///< from now on files of this source are known to have companions
};

/// Counts of one source for people.
struct IntakeCounts {
  int items = 0, broken = 0, duplicates = 0, growing = 0;
};

/// Runs one watcher a source and sorts what they report. Knows neither store nor graph: its owner writes down what
/// `take` returns, and tells it at the start what is stored.
class Intake {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Intake(std::size_t steps);
  ~Intake();
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  /// The files of a source are told anew: what was counted is forgotten, what was seen of its folder is not.
  void forget(int step, flow::Watch watch);
  /// A stored file that is an item of the source. @param known  its size and time, when it was taken
  void recall_item(int step, const std::string& path, const std::string& hash, const std::string& subject,
                   KnownFile known);
  /// A stored file that is none. @param state  "broken", "duplicate" or "excluded"
  void recall_other(int step, const std::string& path, std::string_view state, KnownFile known);

  /// Starts a watcher. @param closed  the stream had ended before
  void start(Watcher::Settings settings, bool closed);
  /// Ends all watchers.
  void stop();
  /// Readable while sightings wait.
  [[nodiscard]] int descriptor() const { return event_; }
  [[nodiscard]] bool empty() const;
  /// Takes up to `most` sightings and says what they come to, in order.
  [[nodiscard]] std::vector<Finding> take(std::size_t most);

  /// Ends the stream at the next look.
  void close(int step) { source(step).by_hand = true; }
  /// True when the stream's end has come: as many files as expected, none for long enough, or by hand.
  [[nodiscard]] bool has_ended(int step);
  /// When the first of the streams may end for want of files.
  [[nodiscard]] std::optional<Clock::time_point> next_end() const;

  [[nodiscard]] const flow::Watch& watch(int step) const { return source(step).watch; }
  /// The folder has been looked at once.
  [[nodiscard]] bool is_scanned(int step) const { return source(step).scanned; }
  [[nodiscard]] const std::string& horizon(int step) const { return source(step).horizon; }
  [[nodiscard]] IntakeCounts counts(int step) const;
  /// Incomplete files and what they lack, by path.
  [[nodiscard]] const std::map<std::string, std::string>& growing(int step) const { return source(step).growing; }

 private:
  struct Source {
    std::unique_ptr<Watcher> watcher;
    flow::Watch watch;
    bool scanned = false, by_hand = false, was_closed = false, companions = false;
    std::string horizon;
    Clock::time_point last_new = Clock::now();
    std::unordered_map<std::string, KnownFile> known;              ///< by path: dealt with
    std::unordered_map<std::string, std::string> path_by_hash;     ///< of the items
    std::unordered_map<std::string, std::string> subject_by_path;  ///< of the items
    std::map<std::string, std::string> growing;                    ///< incomplete files and what they miss
    std::map<std::string, std::string> waiting;                    ///< those named, because they stay as they are
    int items = 0, broken = 0, duplicates = 0;
  };

  Source& source(int step) { return sources_.at(static_cast<std::size_t>(step)); }
  [[nodiscard]] const Source& source(int step) const { return sources_.at(static_cast<std::size_t>(step)); }
  void put(Sighting sighting);
  std::optional<Finding> sort(Sighting sighting);
  static std::optional<Finding> sort_complete(Source& source, Finding finding);

  std::vector<Source> sources_;  ///< by step
  mutable std::mutex mutex_;
  std::deque<Sighting> inbox_;
  std::atomic<bool> leaving_ = false;  ///< nobody empties the inbox any more
  int event_ = -1;
};

}  // namespace frazil::engine
