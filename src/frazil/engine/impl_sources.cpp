// Between intake and ledger.
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
void Engine::Impl::start_sources() {
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    const auto& planned = ledger_.plan().steps[i];
    if (planned.protocol->shape != flow::Shape::source) continue;
    const int index = static_cast<int>(i);
    auto watch = planned.protocol->source.watch(planned.params);
    Watcher::Settings settings{index,
                               std::move(watch),
                               planned.protocol,
                               planned.params,
                               "raw/" + planned.name,
                               {},
                               options_.poll_s,
                               ledger_.has_companions(index)};
    // By the watcher's thread, of a plan that may change meanwhile.
    settings.foresee = [plan = std::make_shared<const flow::Plan>(ledger_.plan()), index,
                        project = options_.project](const Json& record) {
      auto seen = flow::foresee(*plan, {{index, record}}, project);
      std::move(seen.findings.begin(), seen.findings.end(), std::back_inserter(seen.problems));
      return std::move(seen.problems);
    };
    intake_->start(std::move(settings), ledger_.is_closed_for_good(index));
  }
}

/// A few at a time, so that results are not kept waiting by a folder full of files.
void Engine::Impl::take_findings() {
  constexpr std::size_t at_once = 32;
  for (const auto& finding : intake_->take(at_once)) {
    note_finding(finding);
    ledger_.settle();
  }
  ledger_.follow_decisions();
}

void Engine::Impl::note_finding(const Found& finding) {
  const auto& seen = finding.sighting;
  const bool is_item =
      finding.kind == Found::Kind::file && finding.state == FileState::item && !ledger_.knows(finding.subject);
  const int subject = ledger_.note_finding(finding, is_item ? intake_->label(seen.step, seen.path) : std::string());
  if (subject < 0) return;
  arrived_[subject] = seen.seen;
  note_time(came_);
}

/// All that is wrong with a source and what comes from it.
std::vector<Finding> Engine::Impl::findings_of_source(int index) const {
  auto list = intake_->watch(index).notes;
  for (auto& finding : ledger_.findings_of(index)) list.push_back(std::move(finding));
  return list;
}

/// Names what is still not whole when nobody looks any more.
void Engine::Impl::note_unfinished() {
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i)
    for (const auto& finding : intake_->unfinished(static_cast<int>(i))) note_finding(finding);
}

/// Closes the streams whose end has come.
void Engine::Impl::check_sources() {
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    const int index = static_cast<int>(i);
    if (ledger_.graph().closed(index) || !intake_->has_ended(index)) continue;
    ledger_.close_stream(index);
  }
  ledger_.settle();
}

}  // namespace frazil::engine
