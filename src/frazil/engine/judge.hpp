// What filters say under any parameters of what they have decided on: asked in this process, from stored records.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "frazil/engine/command.hpp"
#include "frazil/engine/view.hpp"
#include "frazil/flow/decision.hpp"

namespace frazil::engine {

/// What a filter says of one subject.
struct Said {
  int subject = 0;
  /// What it says it of: numbers in the store, by input of the step.
  std::shared_ptr<const std::vector<std::vector<std::int64_t>>> inputs;
  std::optional<flow::Decision> decision;  ///< none: it has to be asked as a task
  std::optional<Error> problem = {};       ///< why
};

/// Keeps the inputs of filters parsed, so that the next question is answered faster. May be asked by several threads.
class Judge {
 public:
  /// What the filter of a step says under these parameters of all that it has decided on, by subject. A subject whose
  /// records cannot be read or judged here has no decision.
  [[nodiscard]] std::vector<Said> ask(const Reading& reading, int step, const Json& params);
  /// Reads inputs ahead for about so long. @return false when all are read, or there are too many to keep
  bool read_ahead(const Reading& reading, double most_s);

 private:
  using Inputs = std::vector<std::vector<std::int64_t>>;
  struct Decided {  // what a filter has decided on
    std::shared_ptr<const Inputs> inputs;
    std::shared_ptr<const void> record;
  };
  void begin_anew_if_needed(const State& state);
  void read(const Reading& reading, int step, const std::vector<int>& subjects);

  std::mutex mutex_;
  std::int64_t load_ = -1;  ///< of the state for which the rest holds
  std::map<int, std::unordered_map<int, Decided>> decided_;
  std::pair<int, int> ahead_{0, 0};  ///< step and subject where reading ahead goes on
};

}  // namespace frazil::engine
