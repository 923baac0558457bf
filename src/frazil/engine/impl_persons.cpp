// Persons as a place: what they are asked, and what they answer.
//
// An execution of a step whose executor is "person" stands in a queue of its own that no worker takes from. The
// question is stored; its answer ends the execution as a worker's result would, in the same transaction in which the
// question is answered: it is asked until then, and never again.
#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {

void Engine::Impl::ask(const Execution& execution) {
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

void Engine::Impl::ask_for_approval(int index) {
  const auto& name = step(index).name;
  ask({0, "approve " + name, name, name, fmt::format("{} waits: may it start (--accept)?", step(index).title),
       store::now()},
      std::nullopt);
}

void Engine::Impl::ask(store::QuestionRow row, std::optional<Execution> execution) {
  if (auto stored = store_.find_question(row.key); stored && stored->answered == 0)
    row = std::move(*stored);
  else if (!options_.read_only)
    row.n = store_.ask(row);
  else
    return;
  const auto n = row.n;
  questions_[n] = {std::move(row), std::move(execution)};
}

/// Nobody waits for this answer any more.
void Engine::Impl::withdraw_question(const Execution& execution) {
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

std::vector<QuestionStatus> Engine::Impl::open_questions() const {
  std::vector<QuestionStatus> list;
  for (const auto& [n, question] : questions_) {
    const bool waits = question.execution || graph_->counts(plan_.find(question.row.step)).waiting > 0;
    if (waits) list.push_back({n, question.row.step, question.row.label, question.row.text, question.row.asked});
  }
  return list;
}

/// By number, or by the name of the step or item if it is the only one of that name.
Engine::Impl::Question& Engine::Impl::find_question(const std::string& text) {
  std::vector<Question*> found;
  for (auto& [n, question] : questions_)
    if (std::to_string(n) == text) return question;
  for (auto& [n, question] : questions_)
    if (question.row.step == text || question.row.label == text) found.push_back(&question);
  if (found.size() == 1) return *found.front();
  if (found.empty())
    throw Error(ErrorCode::not_found, "there is no open question \"{}\"; status lists those there are", text);
  throw Error(ErrorCode::bad_input, "there are {} open questions about \"{}\": say its number, as status lists it",
              found.size(), text);
}

exec::Result Engine::Impl::result_of(const Command& answer, const Execution& execution, const std::string& temporary,
                                     const std::string& reference) {
  const auto& protocol = *step(execution.step).protocol;
  exec::Result result;
  result.threads = 0;
  if (protocol.shape == flow::Shape::filter) {
    if (!answer.accept)
      throw Error(ErrorCode::bad_input, "say whether it is accepted or set aside: --accept or --set-aside");
    flow::Decision decision;
    decision.verdict = flow::accept_if(*answer.accept);
    decision.rule = "by hand";
    decision.title = "set aside by hand";
    decision.reason = *answer.accept ? "" : answer.reason;
    result.outputs = {{"decision", {flow::decision_to_json(decision).dump()}}};
    return result;
  }
  if (answer.files.empty()) throw Error(ErrorCode::bad_input, "say which files hold the answer");
  if (!options_.read_answer) throw Error(ErrorCode::unsupported, "answers with files are taken while the project runs");
  flow::Records inputs;
  for (const auto& [port, texts] : records_of(execution)) {
    inputs.emplace_back(port, std::vector<Json>{});
    for (const auto& text : texts) inputs.back().second.push_back(Json::parse(text));
  }
  const auto records = options_.read_answer(protocol, inputs, {answer.files.begin(), answer.files.end()},
                                            {options_.project, options_.project / temporary, reference});
  for (const auto& [port, list] : records) {
    result.outputs.emplace_back(port, std::vector<std::string>{});
    for (const auto& record : list) result.outputs.back().second.push_back(record.dump());
  }
  result.has_files = std::filesystem::exists(options_.project / temporary);
  return result;
}

/// A refused answer leaves the question as it is.
Json Engine::Impl::answer(const Command& answer) {
  auto& question = find_question(answer.step);
  const auto row = question.row;
  if (!question.execution) {
    if (answer.accept != true)
      throw Error(ErrorCode::bad_input, "{} is let go with --accept; until then it waits", row.step);
    approve(plan_.find(row.step), answer.actor);
    return {{"changed", Json::array({{{"step", row.step}, {"label", row.label}, {"what", "approved"}}})}};
  }
  Ended ended;
  ended.execution = *question.execution;
  ended.order = order_of(ended.execution);
  ended.temporary = fmt::format("tmp/{}-answer-{}", epoch_, row.n);
  ended.reference = reference_of(ended.execution);
  ended.actor = answer.actor;
  std::error_code ignored;
  std::filesystem::remove_all(options_.project / ended.temporary, ignored);  // of a refused one before
  ended.result = result_of(answer, ended.execution, ended.temporary, ended.reference);
  if (ended.result.has_files && !move_outputs(ended)) throw Error(ended.result.code, "{}", ended.result.message);
  store_.answer_question(row.n, answer.accept ? (*answer.accept ? "accepted" : "set aside") : "files", answer.actor);
  store_.add_event("answered", row.step, row.label, answer.reason, answer.actor);
  questions_.erase(row.n);
  dispatcher_->drop(ended.execution);
  publish(ended);
  return {{"changed", Json::array({{{"step", row.step}, {"label", row.label}, {"what", "answered"}}})}};
}

/// A step that waits for a person may start.
void Engine::Impl::approve(int index, const std::string& actor) {
  store_.put("approved:" + step(index).name, std::to_string(store::now()));
  const auto n = store_.ask({0, "approve " + step(index).name, step(index).name, step(index).name, "", store::now()});
  store_.answer_question(n, "approved", actor);
  store_.add_event("approved", step(index).name, "", "by hand", actor);
  questions_.erase(n);
  graph_->approve(index);
  settle();
}

}  // namespace frazil::engine
