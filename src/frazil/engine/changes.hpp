// What one settled event has changed, and the number that its commit gave: the feed that everybody who reads follows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "frazil/base/hash.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

/// Where a subject is at a step.
enum class CellState : std::uint8_t {
  unknown,  ///< never came near
  waiting,  ///< for its inputs
  ready,    ///< for its list, or for a place
  running,
  done,
  failed,
  absent,  ///< never reaches the step
  held     ///< neither accepted nor set aside yet
};

/// A file's item or a fold's version that came up. Subjects are numbered from 0 in the order they come up.
struct SubjectAdded {
  int subject = 0;
  std::string id, label, order;
  int root = 0;  ///< step that introduced it
};

struct CellChanged {
  int step = 0, subject = 0;
  CellState state = CellState::unknown;
  std::int64_t task = 0;  ///< number in the store of the task that settled it; 0: none has
};

/// What a subject brings to a set.
struct ItemPlaced {
  int step = 0, port = 0, subject = 0;
  std::int64_t item = 0;  ///< number in the store; 0: it is not, or no longer, in this set
  std::string record;     ///< JSON text; empty: it is read from the store
};

/// The rule of a filter has decided.
struct RuleDecided {
  int step = 0, subject = 0;
  std::int64_t task = 0;  ///< number in the store
  std::string rule;
  double value = 0, limit = 0;
  std::string title = {};  ///< what breaking the rule means
};

/// An execution of a fold has ended.
struct VersionMade {
  int step = 0;
  std::int64_t task = 0;  ///< number in the store
};

/// A fold has taken versions back. Told before those that it has made since.
struct Rewound {
  int step = 0;
  int kept = 0;  ///< versions that stand, from the first on
};

/// Everything between two commits, in the order in which it happened. The numbers of rows that are not known to whoever
/// notes them (of decisions, files and events) may be 0.
struct Changes {
  /// Given by the commit: rises with every one, over restarts too. Nothing is told before it is durable.
  std::int64_t sequence = 0;
  /// What was known before no longer holds: all subjects, cells and items follow here. Decisions, files and events are
  /// then read from the store.
  bool reload = false;
  std::vector<SubjectAdded> subjects;
  std::vector<CellChanged> cells;
  std::vector<ItemPlaced> items;
  std::vector<Rewound> rewound;
  std::vector<VersionMade> versions;
  std::vector<store::DecisionRow> decisions;  ///< of people, and what stands like theirs
  std::vector<RuleDecided> rules;             ///< decisions of rules; what is missing here is read from the store
  std::vector<store::FileRow> files;
  std::vector<store::EventRow> events;
  std::vector<int> closed;        ///< steps whose output is complete now
  std::vector<int> sets_changed;  ///< steps one of whose sets has other members than before

  [[nodiscard]] bool empty() const {
    return !reload && subjects.empty() && cells.empty() && items.empty() && rewound.empty() && versions.empty() &&
           decisions.empty() && rules.empty() && files.empty() && events.empty() && closed.empty() &&
           sets_changed.empty();
  }
};

}  // namespace frazil::engine
