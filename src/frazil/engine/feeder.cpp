#include "frazil/engine/feeder.hpp"

#include <algorithm>
#include <utility>

namespace frazil::engine {
namespace {

CellState state_of(std::string_view name) {
  constexpr std::string_view names[] = {"", "waiting", "ready", "running", "done", "failed", "absent", "held"};
  const auto* found = std::find(std::begin(names), std::end(names), name);
  return found == std::end(names) ? CellState::unknown : static_cast<CellState>(found - std::begin(names));
}

void tell_cell(const Graph& graph, const flow::Plan& plan, int step, int subject, Changes& changes) {
  changes.cells.push_back({step, subject, state_of(graph.cell_name(step, subject)), graph.task(step, subject)});
  const auto ports = plan.steps[static_cast<std::size_t>(step)].protocol->outputs.size();
  for (int port = 0; port < static_cast<int>(ports); ++port) {
    const int item = graph.find(step, port, subject);
    changes.items.push_back({step, port, subject, item >= 0 ? graph.item(item).n : 0, {}});
  }
}

}  // namespace

void Feeder::begin_anew() {
  *this = Feeder();
  pending_.reload = true;
}

Changes Feeder::take(const Graph& graph, const flow::Plan& plan, std::int64_t sequence) {
  auto changes = std::exchange(pending_, {});
  changes.sequence = sequence;
  const auto steps = static_cast<int>(plan.steps.size());
  const auto count = graph.subject_count();
  for (auto i = static_cast<int>(subjects_told_); i < static_cast<int>(count); ++i) {
    const auto& subject = graph.subject(i);
    changes.subjects.push_back({i, subject.id, subject.label, subject.order, subject.root});
    cells_.emplace_back(subject.root, i);
  }
  subjects_told_ = count;
  if (changes.reload) {
    cells_.clear();
    for (int step = 0; step < steps; ++step)
      for (int subject = 0; subject < static_cast<int>(count); ++subject)
        if (!graph.cell_name(step, subject).empty() || graph.subject(subject).root == step)
          cells_.emplace_back(step, subject);
  }
  std::sort(cells_.begin(), cells_.end());
  cells_.erase(std::unique(cells_.begin(), cells_.end()), cells_.end());
  for (const auto& [step, subject] : cells_) tell_cell(graph, plan, step, subject, changes);
  cells_.clear();
  versions_told_.resize(plan.steps.size());
  for (const int step : std::exchange(rewound_, {})) {
    auto& told = versions_told_[static_cast<std::size_t>(step)];
    const auto& tasks = graph.fold_tasks(step);
    const auto other = std::mismatch(told.begin(), told.end(), tasks.begin(), tasks.end()).first;
    if (other == told.end()) continue;
    told.erase(other, told.end());
    changes.rewound.push_back({step, static_cast<int>(told.size())});
  }
  for (int step = 0; step < steps; ++step) {
    auto& told = versions_told_[static_cast<std::size_t>(step)];
    for (const auto& tasks = graph.fold_tasks(step); told.size() < tasks.size();) {
      changes.versions.push_back({step, tasks[told.size()]});
      told.push_back(tasks[told.size()]);
    }
  }
  return changes;
}

}  // namespace frazil::engine
