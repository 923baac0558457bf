// What intake finds is written down: files become items, duplicates, or are set aside.
#include <unistd.h>

#include <cmath>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/utf8.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

/// The reason, with the file in front unless it stands there already.
std::string naming(const Found& finding) {
  const auto file = printable_name(finding.sighting.file.string());
  return finding.reason.starts_with(file) ? finding.reason : file + ": " + finding.reason;
}

}  // namespace

/// Somebody has read a file to its end. @return whether it is one of a source, of which nobody knew what it holds
bool Engine::Impl::is_first_reading(const std::string& reference, const std::string& content) {
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    const auto folder = "raw/" + plan_.steps[s].name + "/";
    if (plan_.steps[s].protocol->shape == flow::Shape::source && reference.starts_with(folder))
      return intake_->note_read(static_cast<int>(s), reference.substr(folder.size()), content);
  }
  return false;
}

void Engine::Impl::start_sources() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const auto& planned = plan_.steps[i];
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
                               store_.get("companions:" + planned.name).has_value()};
    // By the watcher's thread, of a plan that may change meanwhile.
    settings.foresee = [plan = std::make_shared<const flow::Plan>(plan_), index,
                        project = options_.project](const Json& record) {
      auto seen = flow::foresee(*plan, {{index, record}}, project);
      std::move(seen.findings.begin(), seen.findings.end(), std::back_inserter(seen.problems));
      return std::move(seen.problems);
    };
    intake_->start(std::move(settings), is_closed_for_good(index));
  }
}

/// A few at a time, so that results are not kept waiting by a folder full of files.
void Engine::Impl::take_findings() {
  constexpr std::size_t at_once = 32;
  for (const auto& finding : intake_->take(at_once)) {
    note_finding(finding);
    settle();
  }
  if (!touched_.empty()) follow_decisions();
}

void Engine::Impl::note_finding(const Found& finding) {
  const auto& seen = finding.sighting;
  const auto& name = step(seen.step).name;
  if (finding.first_companion) store_.put("companions:" + name, "seen");
  switch (finding.kind) {
    case Found::Kind::horizon:
      return graph_->set_horizon(seen.step, seen.order);
    case Found::Kind::folder:
      store_.add_event("folder", name, seen.path, finding.reason);
      return log::warning("{}: {}", name, finding.reason);
    case Found::Kind::damaged:
      store_.add_event("damaged", name, seen.path, finding.reason);
      return log::warning("was taken before, and cannot be read any more: {}", naming(finding));
    case Found::Kind::file:
      break;
  }
  if (!finding.replaced.empty()) {
    retire(seen.step, finding.replaced, seen.path);
    store_.put(fmt::format("{}raw/{}/{}", content_key, name, seen.path),
               seen.hash.size() > 32 ? seen.hash.substr(32) : "");
  }
  if (finding.state == FileState::item) return import(finding);
  const auto state = to_string(finding.state);
  note_file({0, name, seen.path, seen.size, seen.mtime_ns, std::string(state), seen.hash, finding.subject,
             finding.reason, 0});
  store_.add_event(state, name, seen.path, finding.reason);
  if (finding.state == FileState::incomplete)
    log::warning("still incomplete: {}", naming(finding));
  else if (finding.state == FileState::broken)
    log::warning("set aside: {}", naming(finding));
  else
    log::info("{}: {}", printable_name(seen.file.string()), finding.reason.empty() ? state : finding.reason);
}

/// A file has other content now: what it was before is set aside, and all that came of it.
void Engine::Impl::retire(int index, const std::string& subject, const std::string& path) {
  const int old = graph_->find_subject(subject);
  const int item = old < 0 ? -1 : graph_->find(index, 0, old);
  if (item < 0) return;
  const auto& s = graph_->subject(old);
  const auto reason = path + " was written anew: its new content takes the place of the old";
  store::DecisionRow row{0,
                         step(index).name,
                         graph_->item(item).id.hex(),
                         s.id,
                         s.label,
                         false,
                         "replaced",
                         std::nan(""),
                         std::nan(""),
                         reason,
                         "rule",
                         "replaced " + s.id,
                         store::now(),
                         "replaced"};
  store_.add_decision(row);
  feeder_.decided(std::move(row));
  store_.add_event("replaced", step(index).name, s.label, reason);
  log::warning("{}: {}", step(index).name, reason);
  people_[{step(index).name, graph_->item(item).id.hex()}] = false;
  touched_.emplace_back(index, old);
}

/// Names what is still not whole when nobody looks any more.
void Engine::Impl::note_unfinished() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    for (const auto& finding : intake_->unfinished(static_cast<int>(i))) note_finding(finding);
}

void Engine::Impl::import(const Found& finding) {
  const auto& seen = finding.sighting;
  const auto& planned = step(seen.step);
  if (graph_->find_subject(finding.subject) >= 0)  // touched, and the same
    return note_file(
        {0, planned.name, seen.path, seen.size, seen.mtime_ns, "item", seen.hash, finding.subject, finding.reason, 0});
  link(seen);
  store::ItemRow item{0,
                      hash_of({"item", planned.key, finding.subject}),
                      planned.protocol->outputs.at(0).kind,
                      planned.name,
                      planned.protocol->outputs.at(0).name,
                      finding.subject,
                      seen.order,
                      intake_->label(seen.step, seen.path),
                      seen.record.dump(),
                      planned.protocol->name};
  item.n = store_.add_item(item);
  note_file(
      {0, planned.name, seen.path, seen.size, seen.mtime_ns, "item", seen.hash, finding.subject, finding.reason, 0});
  store_.add_event("found", planned.name, seen.path, finding.reason);
  if (!finding.reason.empty()) log::warning("{}", naming(finding));
  look_into(seen.step, item.label, seen.record, seen.foreseen);
  arrived_[static_cast<int>(graph_->subject_count())] = seen.seen;
  note_time(came_);
  graph_->add_source_item(seen.step, {finding.subject, item.label, item.order, seen.step},
                          {item.n, Digest::parse(item.id)});
}

/// Compares a file with what is set, and finds out which steps such files give nothing to do.
void Engine::Impl::look_into(int index, const std::string& label, const Json& record, std::vector<Finding> foreseen) {
  const auto& planned = step(index);
  auto& findings = foreseen;
  if (planned.protocol->source.contradictions)
    for (auto& finding : planned.protocol->source.contradictions(record, planned.params))
      findings.push_back(std::move(finding));
  stream_findings_[index].add(label, std::move(findings));
  samples_[index] = record;
  starved_ = flow::starved(plan_, samples_);
}

/// Why a step that has had nothing to do will not get anything; empty: it may.
std::string Engine::Impl::starvation_of(int index) const {
  if (starved_.size() <= static_cast<std::size_t>(index)) return {};
  const auto counts = graph_->counts(index);
  return counts.open + counts.done + counts.failed + counts.versions > 0
             ? std::string()
             : starved_[static_cast<std::size_t>(index)].reason;
}

/// All that is wrong with a source and what comes from it.
std::vector<Finding> Engine::Impl::findings_of_source(int index) const {
  auto list = intake_->watch(index).notes;
  if (const auto found = stream_findings_.find(index); found != stream_findings_.end())
    for (auto& finding : found->second.standing()) list.push_back(std::move(finding));
  for (std::size_t i = 0; i < starved_.size(); ++i)
    if (starved_[i].is_first && !starvation_of(static_cast<int>(i)).empty() &&
        std::binary_search(plan_.steps[i].roots.begin(), plan_.steps[i].roots.end(), index))
      list.push_back({.kind = AlarmKind::task,
                      .about = plan_.steps[i].name,
                      .text = fmt::format("{} {}", plan_.steps[i].name, starved_[i].reason),
                      .advice = "Set what is missing, or let the step read another set"});
  return list;
}

void Engine::Impl::note_file(store::FileRow file) {
  store_.add_file(file);
  feeder_.file_noted(std::move(file));
}

/// Makes raw/<step>/<path> point to the file.
void Engine::Impl::link(const Sighting& sighting) {
  const auto path = options_.project / "raw" / step(sighting.step).name / sighting.path;
  make_folders(path.parent_path());
  entry_made(path);
  std::error_code error;
  if (std::filesystem::read_symlink(path, error) == sighting.file) return;
  std::filesystem::remove(path, error);
  if (::symlink(sighting.file.c_str(), path.c_str()) != 0)
    throw Error(ErrorCode::io, "{}: the link to {} cannot be made", path.string(), sighting.file.string());
}

/// Closes the streams whose end has come.
void Engine::Impl::check_sources() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const int index = static_cast<int>(i);
    if (graph_->closed(index) || !intake_->has_ended(index)) continue;
    store_.put("closed:" + step(index).name, closing(index));
    graph_->close_source(index);
  }
  settle();
}

/// Under which conditions a stream ends. When they change, one that had ended goes on.
std::string Engine::Impl::closing(int index) const {
  const auto watch = step(index).protocol->source.watch(step(index).params);
  return fmt::format("{} files, idle for {} s, in {}", watch.expected, watch.idle_s, watch.files);
}

bool Engine::Impl::is_closed_for_good(int index) {
  return step(index).protocol->shape == flow::Shape::source &&
         store_.get("closed:" + step(index).name) == closing(index);
}

/// Reads again which files the sources have dealt with; those that became items enter the graph.
/// @param imported  by file: id of the item that it would be
void Engine::Impl::recall_files(const std::vector<store::FileRow>& files, const std::vector<Digest>& imported) {
  std::map<int, std::deque<std::pair<std::string, std::int64_t>>> last;  // items of each source: label and number
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& row = files[i];
    const int index = plan_.find(row.step);
    if (index < 0) continue;
    if (row.state == "item") {
      const auto n = replay_->number_of(i);
      if (n == 0 || graph_->find_subject(row.subject) >= 0) continue;  // other parameters then: read again
      auto [order, label] = store_.item_name(n);
      auto& recent = last[index];
      recent.emplace_back(label, n);
      if (recent.size() > StreamFindings::window) recent.pop_front();
      graph_->add_source_item(index, {row.subject, std::move(label), std::move(order), index}, {n, imported[i]});
      settle();
    }
    intake_->recall(index, row, options_.project / "raw" / row.step / row.path);
  }
  stream_findings_.clear();
  samples_.clear();
  for (const auto& [index, items] : last)
    for (const auto& [label, n] : items) look_into(index, label, Json::parse(store_.record(n)), {});
  store_.for_settings(content_key, [&](const std::string& key, const std::string& content) {
    if (!content.empty()) (void)is_first_reading(key.substr(content_key.size()), content);
  });
}

}  // namespace frazil::engine
