// Persons as a place: what they are asked, and what they answer.
//
// An execution of a step whose executor is "person" stands in a queue of its own that no worker takes from. The
// question is stored; its answer ends the execution as a worker's result would, in the same transaction in which the
// question is answered: it is asked until then, and never again.
#include "frazil/engine/impl.hpp"

namespace frazil::engine {

std::vector<QuestionStatus> Engine::Impl::open_questions() const {
  std::vector<QuestionStatus> list;
  for (const auto& [n, question] : ledger_.questions()) {
    const bool waits = question.execution || ledger_.graph().counts(ledger_.plan().find(question.row.step)).waiting > 0;
    if (waits) list.push_back({n, question.row.step, question.row.label, question.row.text, question.row.asked});
  }
  return list;
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
  for (const auto& [port, texts] : ledger_.records_of(execution)) {
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
  const auto& question = ledger_.find_question(answer.step);
  const auto row = question.row;
  if (!question.execution) {
    if (answer.accept != true)
      throw Error(ErrorCode::bad_input, "{} is let go with --accept; until then it waits", row.step);
    ledger_.approve(ledger_.plan().find(row.step), answer.actor);
    return {{"changed", Json::array({{{"step", row.step}, {"label", row.label}, {"what", "approved"}}})}};
  }
  Ended ended;
  ended.execution = *question.execution;
  ended.order = ledger_.order_of(ended.execution);
  ended.temporary = fmt::format("tmp/{}-answer-{}", ledger_.epoch(), row.n);
  ended.reference = ledger_.reference_of(ended.execution);
  ended.actor = answer.actor;
  std::error_code ignored;
  std::filesystem::remove_all(options_.project / ended.temporary, ignored);  // of a refused one before
  ended.result = result_of(answer, ended.execution, ended.temporary, ended.reference);
  if (ended.result.has_files && !ledger_.move_outputs(ended))
    throw Error(ended.result.code, "{}", ended.result.message);
  ledger_.answered(row.n, answer.accept ? (*answer.accept ? "accepted" : "set aside") : "files", answer.reason,
                   answer.actor);
  dispatcher_->drop(ended.execution);
  publish(ended);
  return {{"changed", Json::array({{{"step", row.step}, {"label", row.label}, {"what", "answered"}}})}};
}

}  // namespace frazil::engine
