// What is found wrong becomes alarms, and is stored with what found it.
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"
#include "frazil/engine/state_watch.hpp"

namespace frazil::engine {
namespace {

/// Sentences in fields `alarm` or `alarms`: records of projects made before there were findings.
std::vector<Finding> sentences_in(const Json& record) {
  auto sentences = record.value("alarms", Json::array());
  if (const auto one = record.value("alarm", Json("")); one.is_string() && one != "") sentences.push_back(one);
  std::vector<Finding> list;
  for (const auto& sentence : sentences)
    if (sentence.is_string())
      list.push_back({.about = std::to_string(list.size() + 1), .text = sentence.get<std::string>()});
  return list;
}

/// The findings in a record; none if it holds no such field.
std::vector<Finding> findings_in(const std::string& record) {
  if (record.find("\"findings\"") == std::string::npos && record.find("\"alarm") == std::string::npos) return {};
  const auto json = Json::parse(record, nullptr, false);
  if (!json.is_object()) return {};
  const auto found = json.find("findings");
  if (found == json.end()) return sentences_in(json);
  std::vector<Finding> list;
  if (const auto problem = detail::value_from_json(*found, list); !problem.empty())
    log::warning("findings that cannot be read: {}", problem);
  return list;
}

std::string event_text(const Alarms::Change& change) {
  const auto& alarm = change.alarm;
  auto text = alarm.finding.text;
  if (change.what == Alarms::Change::What::acknowledged && !alarm.reason.empty()) text += ": " + alarm.reason;
  return text;
}

std::string_view event_kind(Alarms::Change::What what) {
  switch (what) {
    case Alarms::Change::What::raised:
      return "alarm";
    case Alarms::Change::What::acknowledged:
      return "acknowledged";
    case Alarms::Change::What::over:
      return "alarm over";
    case Alarms::Change::What::changed:
      break;
  }
  return {};
}

}  // namespace

/// Alarms of sources that the workflow has no more are over.
void Engine::Impl::forget_sources() {
  std::set<std::string> sources = {"engine"};
  for (const auto& planned : ledger_.plan().steps) sources.insert(planned.name);
  for (const auto& monitor : ledger_.plan().monitors) sources.insert(source_of_rule(monitor.name));
  alarms_.keep_only(sources, store::now());
}

/// What the version that a task has made finds wrong; none: it has made none.
std::optional<std::vector<Finding>> Engine::Impl::findings_of(std::int64_t task) {
  std::optional<std::vector<Finding>> list;
  ledger_.rows().for_task(task, [&](const store::TaskRow& row) {
    if (row.failed) return;
    list.emplace();
    for (const auto& [port, item] : row.outputs)
      for (auto& finding : findings_in(ledger_.rows().record(item))) list->push_back(std::move(finding));
  });
  return list;
}

/// In whose name a step raises alarms. One that looks at the first items alone, so that something is known early,
/// speaks for the step that goes on with the same protocol: what that does not find any more is over.
const std::string& Engine::Impl::speaker_of(int index) const {
  const auto& planned = step(index);
  if (planned.trigger.mode == flow::Trigger::Mode::first)
    for (const auto& other : ledger_.plan().steps)
      if (other.protocol == planned.protocol && other.trigger.mode != flow::Trigger::Mode::first) return other.name;
  return planned.name;
}

/// Takes in what the versions of folds say that have come since the last time.
void Engine::Impl::watch_versions() {
  const auto has_versions = [&](const std::string& name) {
    return !ledger_.graph().fold_tasks(ledger_.plan().find(name)).empty();
  };
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    const auto& name = ledger_.plan().steps[i].name;
    const auto& tasks = ledger_.graph().fold_tasks(static_cast<int>(i));
    if (tasks.empty()) continue;
    if (std::exchange(versions_seen_[name], tasks.back()) != tasks.back())
      if (const auto& speaker = speaker_of(static_cast<int>(i)); speaker == name || !has_versions(speaker))
        if (const auto findings = findings_of(tasks.back())) alarms_.see(speaker, *findings, store::now());
    if (ledger_.graph().closed(static_cast<int>(i))) alarms_.end(name, store::now());
  }
}

/// Writes what has become of alarms into the open transaction: it is durable with what it was found in.
void Engine::Impl::write_alarms() {
  watch_versions();
  for (const auto& change : alarms_.unsaved()) {
    ledger_.put_alarm(change.alarm);
    if (const auto kind = event_kind(change.what); !kind.empty())
      ledger_.add_event(kind, change.alarm.source, std::to_string(change.alarm.n), event_text(change),
                        change.what == Alarms::Change::What::acknowledged ? change.alarm.actor : "");
  }
}

/// The transaction is durable.
void Engine::Impl::alarms_committed() {
  for (const auto& change : alarms_.unsaved()) {
    last_alarm_ = std::max(last_alarm_, change.alarm.n);
    if (change.what == Alarms::Change::What::raised)
      log::warning("alarm {}: {}", change.alarm.n, headline(change.alarm));
    if (change.what == Alarms::Change::What::over)
      log::info("alarm {} is over: {}", change.alarm.n, headline(change.alarm));
  }
  alarms_.saved();
}

Json Engine::Impl::acknowledge(const Command& command) {
  const auto digits = command.step.starts_with('#') ? command.step.substr(1) : command.step;
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
    throw Error(ErrorCode::bad_input, "\"{}\" is no number of an alarm; frazil status lists them", command.step);
  const auto number = std::stoll(digits);
  alarms_.acknowledge(number, command.actor, command.reason, store::now());
  Json changed = Json::array();
  for (const auto& alarm : alarms_.standing())
    if (alarm.n == number)
      changed.push_back({{"step", alarm.source}, {"label", fmt::format("alarm {}", number)}, {"what", "acknowledged"}});
  return {{"changed", std::move(changed)}};
}

}  // namespace frazil::engine
