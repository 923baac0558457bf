// What intake finds is written down: files become items, duplicates, or are set aside.
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/utf8.hpp"
#include "frazil/engine/ledger.hpp"

namespace frazil::engine {
namespace {

/// The reason, with the file in front unless it stands there already.
std::string naming(const Found& finding) {
  const auto file = printable_name(finding.sighting.file.string());
  return finding.reason.starts_with(file) ? finding.reason : file + ": " + finding.reason;
}

}  // namespace

bool note_reading(const flow::Plan& plan, Intake& intake, const std::string& reference, const std::string& content) {
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const auto folder = "raw/" + plan.steps[s].name + "/";
    if (plan.steps[s].protocol->shape == flow::Shape::source && reference.starts_with(folder))
      return intake.note_read(static_cast<int>(s), reference.substr(folder.size()), content);
  }
  return false;
}

int Ledger::note_finding(const Found& finding, const std::string& label) {
  const auto& seen = finding.sighting;
  const auto& name = step(seen.step).name;
  if (finding.first_companion) store_.put("companions:" + name, "seen");
  switch (finding.kind) {
    case Found::Kind::horizon:
      graph_->set_horizon(seen.step, seen.order);
      return -1;
    case Found::Kind::folder:
      store_.add_event("folder", name, seen.path, finding.reason);
      log::warning("{}: {}", name, finding.reason);
      return -1;
    case Found::Kind::damaged:
      store_.add_event("damaged", name, seen.path, finding.reason);
      log::warning("was taken before, and cannot be read any more: {}", naming(finding));
      return -1;
    case Found::Kind::file:
      break;
  }
  if (!finding.replaced.empty()) {
    retire(seen.step, finding.replaced, seen.path);
    store_.put(fmt::format("{}raw/{}/{}", content_key, name, seen.path),
               seen.hash.size() > 32 ? seen.hash.substr(32) : "");
  }
  if (finding.state == FileState::item) return import(finding, label);
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
  return -1;
}

/// A file has other content now: what it was before is set aside, and all that came of it.
void Ledger::retire(int index, const std::string& subject, const std::string& path) {
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

int Ledger::import(const Found& finding, const std::string& label) {
  const auto& seen = finding.sighting;
  const auto& planned = step(seen.step);
  if (knows(finding.subject)) {  // touched, and the same
    note_file(
        {0, planned.name, seen.path, seen.size, seen.mtime_ns, "item", seen.hash, finding.subject, finding.reason, 0});
    return -1;
  }
  link(seen);
  store::ItemRow item{0,
                      hash_of({"item", planned.key, finding.subject}),
                      planned.protocol->outputs.at(0).kind,
                      planned.name,
                      planned.protocol->outputs.at(0).name,
                      finding.subject,
                      seen.order,
                      label,
                      seen.record.dump(),
                      planned.protocol->name};
  item.n = store_.add_item(item);
  note_file(
      {0, planned.name, seen.path, seen.size, seen.mtime_ns, "item", seen.hash, finding.subject, finding.reason, 0});
  store_.add_event("found", planned.name, seen.path, finding.reason);
  if (!finding.reason.empty()) log::warning("{}", naming(finding));
  look_into(seen.step, item.label, seen.record, seen.foreseen);
  return graph_->add_source_item(seen.step, {finding.subject, item.label, item.order, seen.step},
                                 {item.n, Digest::parse(item.id)});
}

/// Compares a file with what is set, and finds out which steps such files give nothing to do.
void Ledger::look_into(int index, const std::string& label, const Json& record, std::vector<Finding> foreseen) {
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
std::string Ledger::starvation_of(int index) const {
  if (starved_.size() <= static_cast<std::size_t>(index)) return {};
  const auto counts = graph_->counts(index);
  return counts.open + counts.done + counts.failed + counts.versions > 0
             ? std::string()
             : starved_[static_cast<std::size_t>(index)].reason;
}

std::vector<Finding> Ledger::findings_of(int index) const {
  std::vector<Finding> list;
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

void Ledger::note_file(store::FileRow file) {
  store_.add_file(file);
  feeder_.file_noted(std::move(file));
}

/// Makes raw/<step>/<path> point to the file.
void Ledger::link(const Sighting& sighting) {
  const auto path = settings_.project / "raw" / step(sighting.step).name / sighting.path;
  make_folders(path.parent_path());
  entry_made(path);
  std::error_code error;
  if (std::filesystem::read_symlink(path, error) == sighting.file) return;
  std::filesystem::remove(path, error);
  if (::symlink(sighting.file.c_str(), path.c_str()) != 0)
    throw Error(ErrorCode::io, "{}: the link to {} cannot be made", path.string(), sighting.file.string());
}

}  // namespace frazil::engine
