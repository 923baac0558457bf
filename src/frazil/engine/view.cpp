#include "frazil/engine/view.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/log.hpp"
#include "frazil/engine/accountant.hpp"
#include "frazil/engine/record_numbers.hpp"

namespace frazil::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_columns = 400;         ///< of one set: more is no table of numbers but a mistake
constexpr std::chrono::milliseconds between(80);  ///< publications at least, while numbers are read

bool comes_before(const SubjectView& a, const SubjectView& b) {
  if (const int compared = a.order.compare(b.order); compared != 0) return compared < 0;
  return a.id < b.id;
}

}  // namespace

// ---- reading ----------------------------------------------------------------------------------------------------

std::vector<int> State::members(int index, int port) const {
  const auto& items = step(index).ports[static_cast<std::size_t>(port)].items;
  std::vector<int> list;
  for (const int subject : *by_order)
    if (items[subject] > 0) list.push_back(subject);
  return list;
}

std::pair<int, int> State::origin(int index, int port, int subject) const {
  const auto& planned = this->planned(index);
  if (planned.protocol->shape != flow::Shape::filter) return {index, port};
  const auto item = step(index).ports[static_cast<std::size_t>(port)].items[subject];
  const auto& from = planned.inputs.front().from;
  for (const auto& endpoint : from)
    if (step(endpoint.step).ports[static_cast<std::size_t>(endpoint.port)].items[subject] == item)
      return origin(endpoint.step, endpoint.port, subject);
  return origin(from.front().step, from.front().port, subject);  // taken back there since
}

// ---- following --------------------------------------------------------------------------------------------------

Builder::Builder(std::unique_ptr<store::Reader> reader)
    : reader_(std::move(reader)), accountant_(std::make_unique<Accountant>()) {}
Builder::~Builder() = default;

bool Builder::is_filter(int step) const { return state_.planned(step).protocol->shape == flow::Shape::filter; }

void Builder::begin_anew(std::shared_ptr<const Head> head, std::int64_t sequence) {
  state_ = State{};
  state_.load = ++load_;
  state_.head = std::move(head);
  state_.by_order = std::make_shared<const std::vector<int>>();
  state_.people = std::make_shared<const std::map<std::pair<int, int>, store::DecisionRow>>();
  steps_.clear();
  made_for_.clear();
  ruled_by_.assign(state_.head->plan.steps.size(), {});
  for (const auto& planned : state_.head->plan.steps) {
    auto step = std::make_shared<StepView>();
    step->ports.resize(planned.protocol->outputs.size());
    step->changed = step->sets_changed = sequence;
    steps_.push_back(step);
    made_for_.push_back(publication_);
    state_.steps.push_back(std::move(step));
  }
  accountant_->begin(state_.head->plan);
  last_file_ = 0;
  files_of_subjects_.clear();
  subject_by_id_.clear();
  names_.clear();
  unread_.clear();
  unread_at_start_ = 0;
  unsorted_.clear();
}

/// The step, fit for being changed: what was published of it stays as it is.
StepView& Builder::edit(int index) {
  const auto at = static_cast<std::size_t>(index);
  if (made_for_[at] != publication_) {
    steps_[at] = std::make_shared<StepView>(*steps_[at]);
    made_for_[at] = publication_;
    state_.steps[at] = steps_[at];
  }
  steps_[at]->changed = state_.sequence;
  return *steps_[at];
}

void Builder::apply(const Changes& changes, std::shared_ptr<const Head> head, Live live) {
  if (changes.reload)
    begin_anew(std::move(head), changes.sequence);
  else if (head != nullptr)
    state_.head = std::move(head);
  state_.sequence = changes.sequence;
  state_.live = std::move(live);
  if (changes.reload || !changes.files.empty()) add_files();
  add_subjects(changes.subjects);
  for (const auto& decided : changes.rules) note_decision(decided);
  for (const auto& placed : changes.items) place(placed);
  for (const auto& cell : changes.cells) change(cell);
  for (const auto& [step, kept] : changes.rewound) rewind(step, kept);
  for (const auto& made : changes.versions) take_version(made);
  if (changes.reload)
    read_people();
  else
    note_people(changes.decisions);
}

void Builder::add_subjects(const std::vector<SubjectAdded>& added) {
  for (const auto& one : added) {
    SubjectView subject{one.id, one.label, one.order, {}, one.root, {}};
    if (const auto file = files_of_subjects_.find(one.id); file != files_of_subjects_.end())
      std::tie(subject.path, subject.time) = file->second;
    subject.name = name_for(subject);
    state_.subjects.set(one.subject, std::make_shared<const SubjectView>(std::move(subject)), publication_);
    subject_by_id_[one.id] = one.subject;
    unsorted_.push_back(one.subject);
    accountant_->touch(one.subject);
    state_.subject_count = std::max(state_.subject_count, one.subject + 1);
  }
}

/// The source's short name for the file, unless another has it already; else the label.
std::string Builder::name_for(const SubjectView& subject) {
  const auto& source = state_.planned(subject.root).protocol->source;
  if (subject.path.empty() || !source.short_name) return subject.label;
  auto name = source.short_name(subject.path);
  return name.empty() || names_.try_emplace(name, subject.id).first->second != subject.id ? subject.label : name;
}

void Builder::add_files() {
  constexpr int some = 500;
  for (auto rows = reader_->files_after(last_file_, some); !rows.empty();
       rows = reader_->files_after(last_file_, some)) {
    for (auto& row : rows) add_file(std::move(row));
    if (static_cast<int>(rows.size()) < some) return;
  }
}

void Builder::add_file(store::FileRow row) {
  last_file_ = row.n;
  if (row.state == "item") {
    files_of_subjects_[row.subject] = {row.path, row.time};
    if (const auto known = subject_by_id_.find(row.subject); known != subject_by_id_.end()) {
      auto subject = *state_.subjects[known->second];
      subject.path = row.path;
      subject.time = row.time;
      subject.name = name_for(subject);
      state_.subjects.set(known->second, std::make_shared<const SubjectView>(std::move(subject)), publication_);
    }
  }
  state_.files.set(
      state_.file_count++,
      std::make_shared<const FileView>(FileView{std::move(row.step), std::move(row.path), std::move(row.state),
                                                std::move(row.subject), std::move(row.reason), row.time}),
      publication_);
}

void Builder::place(const ItemPlaced& placed) {
  const auto before =
      steps_[static_cast<std::size_t>(placed.step)]->ports[static_cast<std::size_t>(placed.port)].items[placed.subject];
  if (before == placed.item) return;
  accountant_->touch(placed.subject);
  auto& step = edit(placed.step);
  step.sets_changed = state_.sequence;
  auto& port = step.ports[static_cast<std::size_t>(placed.port)];
  port.count += static_cast<int>(placed.item > 0) - static_cast<int>(before > 0);
  port.items.set(placed.subject, placed.item, publication_);
  if (placed.item == 0 || is_filter(placed.step)) return;
  if (placed.record.empty())
    unread_.push_back({placed.step, placed.port, placed.subject, placed.item});
  else
    note_numbers(placed.step, placed.port, placed.subject, placed.record);
}

void Builder::change(const CellChanged& cell) {
  accountant_->touch(cell.subject);
  auto& step = edit(cell.step);
  step.cells.set(cell.subject, cell.state, publication_);
  if (step.tasks[cell.subject] == cell.task) return;
  step.tasks.set(cell.subject, cell.task, publication_);
  if (cell.task == 0 || !is_filter(cell.step)) return;
  const auto& ruled = ruled_by_[static_cast<std::size_t>(cell.step)];
  const auto at = static_cast<std::size_t>(cell.subject);
  if (at >= ruled.size() || ruled[at] != cell.task) unread_.push_back({cell.step, -1, cell.subject, cell.task});
}

void Builder::rewind(int index, int kept) {
  auto& made = edit(index).made;
  made.resize(std::min(made.size(), static_cast<std::size_t>(kept)));
}

void Builder::take_version(const VersionMade& made) {
  VersionView version{-1, made.task};
  reader_->for_task(made.task, [&](const store::TaskRow& row) {
    const auto found = subject_by_id_.find(row.subject);
    if (!row.failed && found != subject_by_id_.end()) version.subject = found->second;
  });
  edit(made.step).made.push_back(version);
}

void Builder::read_people() {
  auto rows = reader_->decisions_of_rule("replaced");  // as a person would have decided, who may take it back
  for (auto& row : reader_->decisions_of_people()) rows.push_back(std::move(row));
  note_people(rows);
}

/// Later ones stand in the place of earlier ones.
void Builder::note_people(const std::vector<store::DecisionRow>& rows) {
  if (rows.empty()) return;
  auto people = std::make_shared<std::map<std::pair<int, int>, store::DecisionRow>>(*state_.people);
  for (const auto& row : rows) {
    const int step = state_.head->plan.find(row.step);
    const auto subject = subject_by_id_.find(row.subject);
    if (step < 0 || subject == subject_by_id_.end()) continue;
    accountant_->touch(subject->second);
    (*people)[{step, subject->second}] = row;
  }
  state_.people = std::move(people);
}

void Builder::note_numbers(int index, int port, int subject, std::string_view record) {
  accountant_->touch(subject);
  auto& numbers = edit(index).ports[static_cast<std::size_t>(port)].numbers;
  for (auto& [name, column] : numbers)  // of an earlier record that had more
    if (!std::isnan(column[subject])) column.set(subject, std::nan(""), publication_);
  for_numbers(record, [&](std::string_view name, double value) {
    auto found = numbers.find(name);
    if (found == numbers.end()) {
      if (numbers.size() >= most_columns) return;
      found = numbers.emplace(name, Column<double>(std::nan(""))).first;
    }
    found->second.set(subject, value, publication_);
  });
}

void Builder::read_decision(int index, int subject, std::int64_t task) {
  if (auto row = reader_->decision_of_task(task))
    note_decision({index, subject, task, std::move(row->rule), row->value, row->limit, std::move(row->title)});
}

void Builder::note_decision(const RuleDecided& decided) {
  accountant_->touch(decided.subject);
  auto& step = edit(decided.step);
  auto& names = step.rule_names;
  const auto rule = std::find(names.begin(), names.end(), decided.rule);
  step.rules.set(decided.subject, static_cast<int>(rule - names.begin()), publication_);
  if (rule == names.end()) {
    names.push_back(decided.rule);
    step.rule_titles.push_back(decided.title);
  }
  step.values.set(decided.subject, decided.value, publication_);
  step.limits.set(decided.subject, decided.limit, publication_);
  auto& ruled = ruled_by_[static_cast<std::size_t>(decided.step)];
  const auto at = static_cast<std::size_t>(decided.subject);
  if (at >= ruled.size()) ruled.resize(std::max(at + 1, static_cast<std::size_t>(state_.subject_count)), 0);
  ruled[at] = decided.task;
}

void Builder::read(const Unread& one) {
  const auto& step = *steps_[static_cast<std::size_t>(one.step)];
  if (one.port < 0) {
    if (step.tasks[one.subject] == one.number) read_decision(one.step, one.subject, one.number);
  } else if (step.ports[static_cast<std::size_t>(one.port)].items[one.subject] == one.number) {
    note_numbers(one.step, one.port, one.subject, reader_->record(one.number));
  }
}

bool Builder::read_numbers(double most_s) {
  unread_at_start_ = std::max(unread_at_start_, unread_.size());
  for (const auto start = Clock::now();
       !unread_.empty() && std::chrono::duration<double>(Clock::now() - start).count() < most_s;) {
    for (int some = 0; some < 16 && !unread_.empty(); ++some) {
      read(unread_.front());
      unread_.pop_front();
    }
  }
  if (unread_.empty()) unread_at_start_ = 0;
  return !unread_.empty();
}

/// Few new ones find their places, which is mostly the end; many are sorted together.
void Builder::sort_subjects() {
  if (unsorted_.empty()) return;
  const auto before = [&](int a, int b) { return comes_before(state_.subject(a), state_.subject(b)); };
  auto sorted = *state_.by_order;
  if (unsorted_.size() > 200) {
    sorted.insert(sorted.end(), unsorted_.begin(), unsorted_.end());
    std::sort(sorted.begin(), sorted.end(), before);
  } else {
    for (const int subject : unsorted_)
      sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), subject, before), subject);
  }
  unsorted_.clear();
  state_.by_order = std::make_shared<const std::vector<int>>(std::move(sorted));
}

std::shared_ptr<const State> Builder::publish() {
  sort_subjects();
  state_.read = unread_.empty() ? 1
                                : 1 - static_cast<double>(unread_.size()) /
                                          static_cast<double>(std::max(unread_at_start_, unread_.size()));
  auto published = std::make_shared<State>(state_);
  tell_account(published->live.status);
  ++publication_;
  return published;
}

/// The counts of files that scripts read are those of the account.
void Builder::tell_account(Status& status) {
  status.account = accountant_->update(state_);
  status.found = status.replaced = status.files = 0;
  for (const auto& source : status.account.sources) {
    status.found += source.items;
    status.replaced += source.replaced;
    status.files += source.files;
  }
}

// ---- a thread of its own ----------------------------------------------------------------------------------------

View::View(std::unique_ptr<store::Reader> reader) : builder_(std::move(reader)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

View::~View() {
  thread_.request_stop();
  thread_.join();
}

void View::apply(Changes changes, std::shared_ptr<const Head> head, Live live) {
  {
    const std::lock_guard lock(mutex_);
    fed_.push_back({std::move(changes), std::move(head), std::move(live)});
  }
  changed_.notify_all();
}

std::shared_ptr<const State> View::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::shared_ptr<const State> View::wait_for_later(std::int64_t sequence, const std::stop_token& stop) const {
  std::unique_lock lock(mutex_);
  const bool is_there = changed_.wait(lock, stop, [&] { return state_ != nullptr && state_->sequence > sequence; });
  return is_there ? state_ : nullptr;
}

bool View::wait_for(std::int64_t sequence, double most_s) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(most_s),
                           [&] { return state_ != nullptr && state_->sequence >= sequence; });
}

void View::work(const std::stop_token& stop) {
  bool more = false;
  auto next = Clock::now();
  std::deque<Fed> fed;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!more) changed_.wait(lock, stop, [&] { return !fed_.empty(); });
      if (stop.stop_requested()) return;
      fed.swap(fed_);
    }
    const bool is_new = !fed.empty();
    try {
      for (auto& one : fed) builder_.apply(one.changes, std::move(one.head), std::move(one.live));
      more = builder_.read_numbers(0.02);
    } catch (const std::exception& error) {  // a store that cannot be read: what was published stays
      log::warning("the view of the project: {}", error.what());
      more = false;
    }
    fed.clear();
    if (more && !is_new && Clock::now() < next) continue;
    auto published = builder_.publish();
    next = Clock::now() + between;
    {
      const std::lock_guard lock(mutex_);
      state_.swap(published);
    }
    changed_.notify_all();
  }
}

}  // namespace frazil::engine
