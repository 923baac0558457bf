#include "frazil/engine/bulk.hpp"

#include <algorithm>
#include <cctype>

namespace frazil::engine {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

class Reasons {
 public:
  Reasons(const Reading& reading, bool failed, const std::string& reason)
      : reading_(reading), state_(*reading.state), failed_(failed), reason_(lower_case(reason)) {}

  [[nodiscard]] bool fits(int index, int subject) const {
    const auto& step = state_.step(index);
    if (step.cells[subject] == CellState::failed) return has_failed(step.tasks[subject]);
    if (failed_ || state_.planned(index).protocol->shape != flow::Shape::filter) return false;
    constexpr std::size_t set_aside = 1;
    return step.ports[set_aside].items[subject] > 0 && is_set_aside(index, subject);
  }

 private:
  [[nodiscard]] bool says(const std::string& text) const { return lower_case(text).find(reason_) != std::string::npos; }
  [[nodiscard]] bool has_failed(std::int64_t task) const {
    bool fits = reason_.empty();
    if (!fits) reading_.reader.for_task(task, [&](const store::TaskRow& row) { fits = says(row.message); });
    return fits;
  }
  [[nodiscard]] bool is_set_aside(int index, int subject) const {
    const auto fits = [&](const store::DecisionRow& row) {
      return says(row.rule) || says(row.title) || says(row.reason);
    };
    if (const auto person = state_.people->find({index, subject}); person != state_.people->end())
      return fits(person->second);
    const auto row = reading_.reader.decision_of_task(state_.step(index).tasks[subject]);
    return row && fits(*row);
  }

  const Reading& reading_;
  const State& state_;
  bool failed_;
  std::string reason_;
};

}  // namespace

std::vector<std::string> subjects_for(const Reading& reading, bool failed, const std::string& reason) {
  const auto& state = *reading.state;
  const Reasons reasons(reading, failed, reason);
  std::vector<std::string> ids;
  for (const int subject : *state.by_order)
    for (int i = 0; i < static_cast<int>(state.steps.size()); ++i)
      if (reasons.fits(i, subject)) {
        ids.push_back(state.subject(subject).id);
        break;
      }
  if (ids.empty())
    throw Error(ErrorCode::not_found, "nothing has failed{}{}", failed ? "" : " or was set aside",
                reason.empty() ? "" : " for the reason \"" + reason + "\"");
  return ids;
}

}  // namespace frazil::engine
