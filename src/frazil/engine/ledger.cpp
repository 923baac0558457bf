#include "frazil/engine/ledger.hpp"

#include <algorithm>
#include <deque>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/recovery.hpp"
#include "frazil/engine/settings.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

fs::path project_folder(const fs::path& folder) {
  if (!fs::exists(folder / "project.frazil"))
    throw Error(ErrorCode::not_found, "{}: there is no project here", folder.string());
  return fs::canonical(folder);
}

}  // namespace

Ledger::Ledger(Settings settings, const flow::Registry& registry, Duties& duties)
    : settings_(std::move(settings)),
      registry_(registry),
      duties_(duties),
      lease_(settings_.read_only ? std::nullopt
                                 : std::optional<Lease>(std::in_place, project_folder(settings_.project))),
      store_(project_folder(settings_.project), settings_.read_only ? store::Access::read : store::Access::write) {
  settings_.project = fs::canonical(settings_.project);
  open();
}

Ledger::~Ledger() = default;

/// Makes the project this engine's.
void Ledger::take_over() {
  epoch_ = std::stoll(store_.get("epoch").value_or("0")) + 1;
  expect_results(settings_.project, store_);
  orphans_ = find_orphans(settings_.project, store_);
  expect_latest(settings_.project, orphans_, store_.get("identity").value_or(""), epoch_ - 1);
  identity_ = identity_of(store_);
  store_.put("epoch", std::to_string(epoch_));
  store_.commit();  // before the lease tells of it: a database that knows less than the lease is an older copy
  lease_->sign(static_cast<long>(epoch_));
  std::error_code ignored;
  fs::remove_all(settings_.project / "tmp", ignored);
  for (const auto* folder : {"tmp", "logs", "steps", "star", "raw", "report"}) make_folders(settings_.project / folder);
  for (const auto* folder : {".", "star", "report"})
    for (const auto& entry :
         fs::directory_iterator(settings_.project / folder))  // a kill in the middle of a replacement
      if (const auto name = entry.path().filename().string(); name.starts_with(".") && name.ends_with(".tmp"))
        fs::remove(entry.path(), ignored);
}

void Ledger::open() {
  if (!settings_.read_only) take_over();
  sequence_ = store_.commit();
  std::vector<flow::Problem> problems;
  const auto workflow = store_.get("workflow");
  if (!workflow)
    throw Error(ErrorCode::bad_input, "{}: nothing has ever run here: frazil run TEMPLATE --project {} starts it",
                settings_.project.string(), settings_.project.string());
  workflow_ = flow::parse_workflow(*workflow, problems);
  const auto values = Json::parse(store_.get("values").value_or("{}"));
  files_ = flow::FileHashes(store_.get("files").value_or(""));
  if (problems.empty()) plan_ = flow::make_plan(workflow_, registry_, values, problems, false, &files_);
  if (!problems.empty())
    throw Error(ErrorCode::bad_input, "{}: the stored workflow does not fit this program:\n{}",
                settings_.project.string(), flow::describe(problems));
  order_ = plan_.values.value("order", Json()) == "acquisition" ? Order::acquisition : Order::arrival;
  seed_ = store_.get("seed").value_or("1");
  programs_.clear();
  for (const auto& planned : plan_.steps) {
    programs_.push_back(settings_.program);
    if (planned.protocol->programs)
      for (const auto& program : planned.protocol->programs())
        programs_.back() += (programs_.back().empty() ? "" : ", ") + program;
  }
}

/// Readers are told which parameters the steps have now.
void Ledger::tell_parameters() {
  head_ = std::make_shared<const Head>(Head{plan_, workflow_.text, Json::parse(store_.get("values").value_or("{}")),
                                            settings_.project, std::stod(store_.get("created").value_or("0")), files_,
                                            last_changes(store_)});
  untold_head_ = head_;
}

/// Readers are told everything again.
void Ledger::tell_anew() {
  tell_parameters();
  feeder_.begin_anew();
}

void Ledger::load(Intake& intake) {
  questions_.clear();
  retired_.clear();  // what they were named for may not be in the store
  tell_anew();
  graph_.emplace(plan_, seed_, order_, static_cast<Knowledge&>(*this));
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    if (plan_.steps[i].trigger.approve && !store_.get("approved:" + plan_.steps[i].name))
      graph_->wait_for_person(static_cast<int>(i)), ask_for_approval(static_cast<int>(i));
  const auto files = store_.files();
  std::vector<Digest> imported(files.size());
  for (std::size_t i = 0; i < files.size(); ++i)
    if (const int index = plan_.find(files[i].step); index >= 0 && files[i].state == "item")
      imported[i] = Digest::parse(hash_of({"item", step(index).key, files[i].subject}));
  replay_.emplace(store_, imported);
  people_.clear();
  for (const auto& row : store_.decisions_of_rule("replaced")) people_[{row.step, row.item}] = row.accepted;
  for (const auto& row : store_.decisions_of_people()) people_[{row.step, row.item}] = row.accepted;
  for (auto& row : store_.batches())
    if (const int index = plan_.find(row.step); index >= 0 && step(index).trigger.mode != flow::Trigger::Mode::none)
      graph_->add_committed(index, row.number, std::move(row.members));

  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const auto& planned = plan_.steps[i];
    const int index = static_cast<int>(i);
    if (planned.protocol->shape != flow::Shape::source) continue;
    intake.forget(index, planned.protocol->source.watch(planned.params));
    if (intake.is_scanned(index))
      graph_->set_horizon(index, intake.horizon(index));
    else
      graph_->hold(index);  // what is still growing is not known yet
  }
  recall_files(intake, files, imported);
  settle();
  replay_.reset();
}

/// Something in the project has a new name that the next commit relies on.
void Ledger::entry_made(const fs::path& path) {
  const auto folder = path.parent_path();
  unsynced_.insert(folder.string());
  if (folder != settings_.project && durable_.insert(folder.string()).second) entry_made(folder);
}

void Ledger::commit() {
  for (const auto& folder : unsynced_) sync_path(folder);
  unsynced_.clear();
  if (store_.dirty() && lease_ && !lease_->is_ours()) {
    store_.rollback();
    throw Fenced(ErrorCode::resource, "{}: another engine has taken this project; this one ends and writes no more",
                 settings_.project.string());
  }
  sequence_ = store_.commit();
  remove_retired();
}

void Ledger::step_closed(int index) {
  if (replay_ || !is_at_work_ || settings_.read_only) return;
  store_.add_event("closed", step(index).name, "", "the output is complete");
  if (const auto lack = graph_->lack(index)) {
    store_.add_event("too little", step(index).name, "", note_of(index));
    log::warning("{}: {}", step(index).name, note_of(index));
  }
}

/// What a step waits for that is not there, or never came, in one sentence; empty: nothing.
std::string Ledger::note_of(int index) const {
  if (auto starvation = starvation_of(index); !starvation.empty()) return starvation;
  const auto lack = graph_->lack(index);
  if (!lack) return {};
  if (graph_->closed(index))
    return fmt::format("did not start: {:g} {} came, it needs {:g}", lack->have, lack->of, lack->need);
  return fmt::format("not yet: {:g} of the {:g} {} that it needs", lack->have, lack->need, lack->of);
}

/// Removes what states and parts wrote that are not needed any more, beside the engine's own work. Only ever called
/// after the commit of what came later; a kill before that, or in the middle, is made good by the next start.
void Ledger::remove_retired() {
  if (settings_.read_only) retired_.clear();
  if (retired_.empty() ||
      (removing_.valid() && removing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready))
    return;
  removing_ = std::async(std::launch::async, [folders = std::exchange(retired_, {})] {
    std::error_code ignored;
    for (const auto& folder : folders) fs::remove_all(folder, ignored);
  });
}

/// Under which conditions a stream ends. When they change, one that had ended goes on.
std::string Ledger::closing(int index) const {
  const auto watch = step(index).protocol->source.watch(step(index).params);
  return fmt::format("{} files, idle for {} s, in {}", watch.expected, watch.idle_s, watch.files);
}

bool Ledger::is_closed_for_good(int index) {
  return step(index).protocol->shape == flow::Shape::source &&
         store_.get("closed:" + step(index).name) == closing(index);
}

/// Reads again which files the sources have dealt with; those that became items enter the graph.
/// @param imported  by file: id of the item that it would be
void Ledger::recall_files(Intake& intake, const std::vector<store::FileRow>& files,
                          const std::vector<Digest>& imported) {
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
    intake.recall(index, row, settings_.project / "raw" / row.step / row.path);
  }
  stream_findings_.clear();
  samples_.clear();
  for (const auto& [index, items] : last)
    for (const auto& [label, n] : items) look_into(index, label, Json::parse(store_.record(n)), {});
  store_.for_settings(content_key, [&](const std::string& key, const std::string& content) {
    if (!content.empty()) (void)note_reading(plan_, intake, key.substr(content_key.size()), content);
  });
}

std::pair<Changes, std::shared_ptr<const Head>> Ledger::take_changes() {
  return {feeder_.take(*graph_, plan_, sequence_), std::exchange(untold_head_, nullptr)};
}

void Ledger::cut_pending(int index) {
  graph_->cut_pending(index);
  settle();
}

void Ledger::close_stream(int index) {
  note_end(index);
  graph_->close_source(index);
}

}  // namespace frazil::engine
