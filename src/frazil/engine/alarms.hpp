// Alarms: what watchers find wrong, from the raising to the end, with hysteresis and acknowledgement.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "frazil/store/project.hpp"

namespace frazil::engine {

/// As in `--json`, the feed and the report: number, kind, about, source, text, since, seen, expected, advice, sure,
/// acknowledged (who; empty: nobody), until (0: it stands).
[[nodiscard]] Json to_json(const store::AlarmRow& alarm);
/// "source: text", as it stands in lists.
[[nodiscard]] std::string headline(const store::AlarmRow& alarm);
/// The gravest first: those that nobody has acknowledged; then what stops the work or spoils all results before what
/// touches some; then the oldest.
void sort_by_gravity(std::vector<store::AlarmRow>& alarms);

/// Makes alarms of findings. Two findings of one source with the same kind and `about` are the same alarm. Has no clock
/// and no store: times (seconds since 1970) come in, and what is to be stored is told.
///
/// An alarm is over when it has not been found for a while, nor in the next two versions of its source: one that
/// returns before is the same alarm, and each such return doubles the while. What is found after its end is a new
/// alarm.
class Alarms {
 public:
  struct Settings {
    double quiet_s = 60;    ///< not found for so long; doubled with every return, up to sixteen times
    int versions = 2;       ///< of its source in which it must not be found
    double refresh_s = 30;  ///< other words of a standing alarm are told at most so often
  };
  /// What happened to an alarm that is not stored yet.
  struct Change {
    enum class What { raised, changed, acknowledged, over } what = What::raised;
    store::AlarmRow alarm;
  };

  Alarms() = default;
  explicit Alarms(Settings settings) : settings_(settings) {}

  /// Those that stood when the project was left. @param last  the highest number so far
  void restore(std::vector<store::AlarmRow> standing, std::int64_t last, double time);
  /// A new version of a source: all that it finds wrong now.
  void see(const std::string& source, const std::vector<Finding>& findings, double time);
  /// No further version of the source will come: what it did not find in its last one is over.
  void end(const std::string& source, double time);
  /// Sources that are not among these are there no more: their alarms are over.
  void keep_only(const std::set<std::string>& sources, double time);
  /// Time passes.
  void look(double time);
  /// Other words are told now, however long ago the last ones were.
  void tell_all(double time);
  /// @throws Error(not_found) if no such alarm stands
  void acknowledge(std::int64_t number, const std::string& actor, const std::string& reason, double time);

  /// In the order of their numbers.
  [[nodiscard]] std::vector<store::AlarmRow> standing() const;
  /// What is to be stored, in order, and stays so until it is told to be durable: a transaction that fails loses
  /// nothing of it.
  [[nodiscard]] const std::vector<Change>& unsaved() const { return unsaved_; }
  void saved() { unsaved_.clear(); }

 private:
  using Key = std::tuple<std::string, AlarmKind, std::string>;  ///< source, kind, about
  struct Standing {
    store::AlarmRow row;
    double found = 0;      ///< when last
    double told = 0;       ///< when the row was stored last
    int missed = 0;        ///< versions of its source since it was found
    int returns = 0;       ///< times that it was found again after having been missed
    bool changed = false;  ///< the finding is another than what was told
  };
  [[nodiscard]] double quiet_s(const Standing& alarm) const;
  void raise(const std::string& source, Finding finding, double time);
  void find_again(Standing& alarm, Finding finding, double time);
  void tell(Standing& alarm, Change::What what, double time);
  std::map<Key, Standing>::iterator finish(std::map<Key, Standing>::iterator alarm, double time);

  Settings settings_;
  std::map<Key, Standing> standing_;
  std::vector<Change> unsaved_;
  std::int64_t last_ = 0;
};

}  // namespace frazil::engine
