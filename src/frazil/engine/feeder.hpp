// Gathers from the graph what readers are to be told after the next commit.
#pragma once

#include <utility>
#include <vector>

#include "frazil/engine/changes.hpp"
#include "frazil/engine/graph.hpp"

namespace frazil::engine {

class Feeder {
 public:
  /// A fresh graph: everything is told anew.
  void begin_anew();
  void cell_changed(int step, int subject) { cells_.emplace_back(step, subject); }
  /// A fold has taken versions back.
  void rewound(int step) { rewound_.push_back(step); }
  void decided(store::DecisionRow row) { pending_.decisions.push_back(std::move(row)); }
  void ruled(RuleDecided decided) { pending_.rules.push_back(std::move(decided)); }
  void file_noted(store::FileRow row) { pending_.files.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return pending_.empty() && cells_.empty(); }
  /// What was noted, as the graph has it now. Call it after the commit that made it durable.
  [[nodiscard]] Changes take(const Graph& graph, const flow::Plan& plan, std::int64_t sequence);

 private:
  Changes pending_;                         ///< what is told as it was noted
  std::vector<std::pair<int, int>> cells_;  ///< step and subject
  std::size_t subjects_told_ = 0;
  std::vector<std::vector<std::int64_t>> versions_told_;  ///< by step: the tasks
  std::vector<int> rewound_;                              ///< steps
};

}  // namespace frazil::engine
