// Changed parameters: what they would change, answered from stored records while the engine works on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "frazil/engine/view.hpp"
#include "frazil/flow/settings.hpp"

namespace frazil::engine {

/// A workflow and its values with some of them replaced, and the plan that follows.
struct Changed {
  flow::Workflow workflow;
  Json values;
  flow::Plan plan;
  flow::FileHashes files = {};
  std::vector<flow::ValueChange> changes = {};  ///< from what to what
};

/// @param values    stored values of the project
/// @param settings  {key: value}: a parameter of the workflow, or step.parameter
/// @param files     contents of the files that parameters name, as far as known
/// @throws Error(bad_input) listing every problem
[[nodiscard]] Changed change(const flow::Workflow& workflow, const flow::Plan& plan, const Json& values,
                             const Json& settings, const flow::Registry& registry, flow::FileHashes files);

/// Keeps the parsed inputs of filters, so that the next question is answered faster. May be asked by several threads.
class WhatIf {
 public:
  /// {"steps": [{"step", "of", "kept_now", "kept_then", "newly_kept", "newly_set_aside"}], "items": {"of", "kept_now",
  /// "kept_then", "to_compute", "failed"}, "computed_again": [step], "seconds"}
  [[nodiscard]] Json ask(const Reading& reading, const Changed& changed);
  /// Reads inputs ahead for about so long. @return false when all are read, or there are too many to keep
  bool read_ahead(const Reading& reading, double most_s);

 private:
  struct Decided {  // what a filter has decided on
    std::vector<std::vector<std::int64_t>> inputs;
    std::shared_ptr<const void> record;
  };
  void begin_anew_if_needed(const State& state);
  void read_decided(const Reading& reading, int step, const std::vector<int>& subjects);
  Json ask_step(const Reading& reading, int step, const Changed& changed, std::vector<char>& now,
                std::vector<char>& then);

  std::mutex mutex_;
  std::shared_ptr<const Head> head_;  ///< for which the rest holds
  std::map<int, std::unordered_map<int, Decided>> decided_;
  std::pair<int, int> ahead_{0, 0};  ///< step and subject where reading ahead goes on
};

}  // namespace frazil::engine
