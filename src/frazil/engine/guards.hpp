// The engine's own watchers: whether files come, are copied and processed in time, and whether there is room for them.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "frazil/params/finding.hpp"

namespace frazil::engine {

/// A source at one moment. Counts are totals since the project was made.
struct StreamNow {
  std::string step, files;     ///< files: folder or pattern that is watched
  bool open = true;            ///< more may come
  bool scanned = false;        ///< the folder has been looked at once
  int items = 0;               ///< files taken, refused or left out
  int incomplete = 0;          ///< not whole yet
  int stuck = 0;               ///< of these, those that do not grow any more
  int unfit = 0;               ///< files beside them that nothing takes
  std::string example = {};    ///< the newest of the incomplete, else of the unfit
  std::string near_miss = {};  ///< a file with a wanted ending that the pattern does not fit; empty: there is none
  std::string outage = {};     ///< why the folder cannot be looked at; empty: it can
};

/// What the engine sees of itself at one moment.
struct SelfNow {
  bool waits = false;                            ///< a person or a full disk keeps tasks from starting
  int behind = 0;                                ///< items not yet through
  int through = 0;                               ///< items that are
  int still_expected = 0;                        ///< files that are to come; 0: nobody has said
  double free_mib = -1;                          ///< space of the project's disk; negative: nobody says
  double reserve_mib = 0;                        ///< space that must stay free
  std::string disk_problem = {};                 ///< why nothing starts; empty: there is space
  double memory_mib = -1, free_memory_mib = -1;  ///< of the machine; negative: nobody says
  std::string report_problem = {};               ///< why the report could not be written; empty: it could
  std::vector<std::string> missing_files = {};   ///< that parameters name
  int deaths = 0;                                ///< workers that have died with a task since the engine started
  std::string last_death = {};                   ///< "align, movie_12: …"
  int waiting_elsewhere = 0;                     ///< tasks that wait for a worker of a cluster
  int running_elsewhere = 0;                     ///< those that have one
};

/// When something is wrong. Times in s, space in MiB.
struct GuardSettings {
  double silence_s = 1200;      ///< no file for so long, at least
  double silence_rhythm = 4;    ///< and for so many times the 95th percentile of the intervals between files
  double outage_s = 10;         ///< a folder cannot be looked at for so long
  double unfit_s = 60;          ///< files come that nothing takes, for so long
  double copy_window_s = 600;   ///< in which incomplete files become more
  int copy_files = 5;           ///< by so many
  double lag_window_s = 1800;   ///< in which items not yet processed become more, in each of its thirds
  int lag_items = 20;           ///< by so many
  double disk_window_s = 3600;  ///< over which the use of the disk is measured
  double disk_least_s = 600;    ///< and at least
  double disk_hours = 6;        ///< what is left lasts for fewer hours
  double memory_share = 0.03;   ///< of the machine's memory is free, for `memory_s`
  double memory_s = 60;
  double deaths_s = 1800;  ///< in so long
  int deaths = 3;          ///< so many workers have died
  double cluster_s = 900;  ///< tasks wait for a cluster for so long, and none runs
};

/// When what became of items says that something is wrong (state_watch.hpp).
struct StateWatchSettings {
  int last = 20;                 ///< results of a step that are looked at
  double failed_share = 0.5;     ///< of them that have failed, and
  int failed = 3;                ///< at least so many
  double set_aside_share = 0.5;  ///< more of a filter's decisions than this are against the item
  int decisions = 6;             ///< once there are so many
};

/// Whether files come as they did. Knows the session's rhythm from the intervals between the files that came while it
/// looked.
class ArrivalGuard {
 public:
  [[nodiscard]] std::vector<Finding> look(const StreamNow& now, const GuardSettings& settings, double time_s);
  /// Without a file for so long something is wrong.
  [[nodiscard]] double limit_s(const GuardSettings& settings) const;

 private:
  [[nodiscard]] double interval_s(double quantile) const;
  void note(const StreamNow& now, double time_s);
  bool started_ = false, live_ = false;
  int items_ = 0, unfit_ = 0, unfit_then_ = 0;
  double last_s_ = 0;          ///< of the last file, or of the start
  double unfit_since_s_ = -1;  ///< files that nothing takes have come since
  double outage_since_s_ = -1;
  std::deque<double> intervals_;  ///< the last ones
};

/// Whether a number has become larger by so much within a window, and in each third of it.
class GrowthGuard {
 public:
  /// @return by how much; 0: it does not grow like that
  [[nodiscard]] int look(int value, double time_s, double window_s, int least);
  void forget() { seen_.clear(); }

 private:
  [[nodiscard]] std::optional<int> at(double time_s) const;
  std::deque<std::pair<double, int>> seen_;  ///< time and value, a few hundred over the window
};

/// How long the space of a disk will last.
class DiskGuard {
 public:
  [[nodiscard]] std::vector<Finding> look(const SelfNow& now, const GuardSettings& settings, double time_s);
  /// MiB an hour that it becomes less by: the median of all slopes, which a file removed meanwhile does not move
  /// (Sen 1968, doi:10.1080/01621459.1968.10480934). None: not measured for long enough.
  [[nodiscard]] std::optional<double> mib_per_hour(const GuardSettings& settings) const;

 private:
  struct Sample {
    double time_s, free_mib;
    int through;
  };
  std::deque<Sample> samples_;  ///< one a minute
};

/// All of them.
class Guards {
 public:
  explicit Guards(GuardSettings settings = {}) : settings_(settings) {}
  /// Everything that is wrong at this moment. @param time_s  of a clock that nobody sets
  [[nodiscard]] std::vector<Finding> look(const std::vector<StreamNow>& streams, const SelfNow& self, double time_s);
  [[nodiscard]] GuardSettings& settings() { return settings_; }

 private:
  [[nodiscard]] std::vector<Finding> copying(const StreamNow& stream, double time_s);
  [[nodiscard]] std::vector<Finding> processing(const SelfNow& self, double time_s);
  [[nodiscard]] std::vector<Finding> memory(const SelfNow& self, double time_s);
  [[nodiscard]] std::vector<Finding> workers(const SelfNow& self, double time_s);

  GuardSettings settings_;
  std::map<std::string, ArrivalGuard> arrivals_;  ///< by step
  std::map<std::string, GrowthGuard> copies_;
  GrowthGuard lag_;
  DiskGuard disk_;
  std::optional<double> scarce_since_s_;       ///< memory is scarce
  std::optional<double> cluster_since_s_;      ///< tasks wait for a cluster and none runs
  std::deque<std::pair<double, int>> deaths_;  ///< time and total, of each change
};

/// "23 min", "3.4 h", "40 s": for sentences.
[[nodiscard]] std::string span_in_words(double seconds);

}  // namespace frazil::engine
