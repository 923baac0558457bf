// What persons are asked: questions are stored with what follows from events, and answered once.
#include "frazil/engine/ledger.hpp"

namespace frazil::engine {

void Ledger::ask(const Execution& execution) {
  const auto& planned = step(execution.step);
  const auto label = label_of(execution);
  const bool decides = planned.protocol->shape == flow::Shape::filter;
  ask({0, execution.key, planned.name, label,
       fmt::format("{}, {}: {}", planned.title, label,
                   decides ? "accept it (--accept) or set it aside (--set-aside)"
                           : "give the files that hold " + planned.protocol->outputs.front().name),
       store::now()},
      execution);
}

void Ledger::ask_for_approval(int index) {
  const auto& name = step(index).name;
  ask({0, "approve " + name, name, name, fmt::format("{} waits: may it start (--accept)?", step(index).title),
       store::now()},
      std::nullopt);
}

void Ledger::ask(store::QuestionRow row, std::optional<Execution> execution) {
  if (auto stored = store_.find_question(row.key); stored && stored->answered == 0)
    row = std::move(*stored);
  else if (!settings_.read_only)
    row.n = store_.ask(row);
  else
    return;
  const auto n = row.n;
  questions_[n] = {std::move(row), std::move(execution)};
}

/// Nobody waits for this answer any more.
void Ledger::withdraw_question(const Execution& execution) {
  for (auto it = questions_.begin(); it != questions_.end();) {
    const auto& asked = it->second.execution;
    if (asked && asked->step == execution.step && asked->subject == execution.subject) {
      store_.forget_question(it->second.row.key);
      it = questions_.erase(it);
    } else {
      ++it;
    }
  }
}

/// By number, or by the name of the step or item if it is the only one of that name.
const Question& Ledger::find_question(const std::string& text) const {
  std::vector<const Question*> found;
  for (const auto& [n, question] : questions_)
    if (std::to_string(n) == text) return question;
  for (const auto& [n, question] : questions_)
    if (question.row.step == text || question.row.label == text) found.push_back(&question);
  if (found.size() == 1) return *found.front();
  if (found.empty())
    throw Error(ErrorCode::not_found, "there is no open question \"{}\"; status lists those there are", text);
  throw Error(ErrorCode::bad_input, "there are {} open questions about \"{}\": say its number, as status lists it",
              found.size(), text);
}

/// A step that waits for a person may start.
void Ledger::approve(int index, const std::string& actor) {
  store_.put("approved:" + step(index).name, std::to_string(store::now()));
  const auto n = store_.ask({0, "approve " + step(index).name, step(index).name, step(index).name, "", store::now()});
  store_.answer_question(n, "approved", actor);
  store_.add_event("approved", step(index).name, "", "by hand", actor);
  questions_.erase(n);
  graph_->approve(index);
  settle();
}

void Ledger::answered(std::int64_t question, std::string_view answer, const std::string& reason,
                      const std::string& actor) {
  const auto row = questions_.at(question).row;
  store_.answer_question(question, std::string(answer), actor);
  store_.add_event("answered", row.step, row.label, reason, actor);
  questions_.erase(question);
}

}  // namespace frazil::engine
