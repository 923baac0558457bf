#include "frazil/store/project.hpp"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "frazil/base/error.hpp"
#include "frazil/store/migrations.hpp"

namespace frazil::store {
namespace {

ItemRow read_item(Query& row) {
  ItemRow item;
  item.n = row.integer();
  item.id = row.text();
  item.kind = row.text();
  item.step = row.text();
  item.port = row.text();
  item.subject = row.text();
  item.order = row.text();
  item.label = row.text();
  item.record = row.text();
  item.actor = row.text();
  return item;
}

TaskRow read_task(Query& row) {
  TaskRow task;
  task.n = row.integer();
  task.key = row.text();
  task.step = row.text();
  task.protocol = row.text();
  task.version = static_cast<int>(row.integer());
  task.subject = row.text();
  task.label = row.text();
  task.order = row.text();
  task.failed = row.integer() != 0;
  task.code = row.text();
  task.message = row.text();
  task.attempts = static_cast<int>(row.integer());
  task.seconds = row.number();
  task.peak_mib = static_cast<int>(row.integer());
  task.threads = static_cast<int>(row.integer());
  task.target = row.text();
  task.inputs = row.text();
  task.finished = row.number();
  task.programs = row.text();
  return task;
}

/// SQLite has no NaN: it would become NULL, and does.
void bind_finite(Query& query, double value) {
  if (std::isnan(value))
    query.bind_null();
  else
    query.bind(value);
}

double read_finite(Query& row) {
  const bool missing = row.is_null();
  const double value = row.number();
  return missing ? std::nan("") : value;
}

std::vector<DecisionRow> read_decisions(Query& query) {
  std::vector<DecisionRow> list;
  while (query.step()) {
    DecisionRow row;
    row.n = query.integer();
    row.step = query.text();
    row.item = query.text();
    row.subject = query.text();
    row.label = query.text();
    row.accepted = query.integer() != 0;
    row.rule = query.text();
    row.value = read_finite(query);
    row.limit = read_finite(query);
    row.reason = query.text();
    row.by = query.text();
    row.key = query.text();
    row.time = query.number();
    row.actor = query.text();
    row.title = query.text();
    row.held = query.integer() != 0;
    list.push_back(std::move(row));
  }
  return list;
}

std::vector<FileRow> read_files(Query& query) {
  std::vector<FileRow> list;
  while (query.step()) {
    FileRow row;
    row.n = query.integer();
    row.step = query.text();
    row.path = query.text();
    row.size = query.integer();
    row.mtime_ns = query.integer();
    row.state = query.text();
    row.hash = query.text();
    row.subject = query.text();
    row.reason = query.text();
    row.time = query.number();
    list.push_back(std::move(row));
  }
  return list;
}

std::vector<EventRow> read_events(Query& query) {
  std::vector<EventRow> list;
  while (query.step()) {
    EventRow row;
    row.n = query.integer();
    row.time = query.number();
    row.kind = query.text();
    row.step = query.text();
    row.label = query.text();
    row.text = query.text();
    row.actor = query.text();
    list.push_back(std::move(row));
  }
  return list;
}

constexpr const char* insert_task =
    "INSERT INTO task (key, step, protocol, version, subject, label, ord, failed, code, message, attempts, seconds, "
    "peak_mib, threads, target, inputs, finished, program) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
    "?) ON CONFLICT (key) DO NOTHING";
constexpr const char* insert_decision =
    "INSERT OR REPLACE INTO decision (step, item, subject, label, accepted, rule, value, bound, reason, by, key, time, "
    "actor, "
    "title, held) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

void lend_task(Query& query, const TaskRow& task, std::int64_t program) {
  query.lend(task.key).lend(task.step).lend(task.protocol).bind(task.version).lend(task.subject).lend(task.label);
  query.lend(task.order).bind(task.failed).lend(task.code).lend(task.message).bind(task.attempts).bind(task.seconds);
  query.bind(task.peak_mib).bind(task.threads).lend(task.target).lend(task.inputs).bind(task.finished).bind(program);
}

void lend_decision(Query& query, const DecisionRow& decision) {
  query.lend(decision.step).lend(decision.item).lend(decision.subject).lend(decision.label).bind(decision.accepted);
  query.lend(decision.rule);
  bind_finite(query, decision.value);
  bind_finite(query, decision.limit);
  query.lend(decision.reason).lend(decision.by).lend(decision.key).bind(decision.time).lend(decision.actor);
  query.lend(decision.title).bind(decision.held);
}

/// The database and its log in a folder that nobody else sees.
std::filesystem::path private_copy(const std::filesystem::path& file, const std::filesystem::path& log) {
  auto name = (std::filesystem::temp_directory_path() / "frazil-reading-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw Error(ErrorCode::io, "{}: a folder for a copy of the database cannot be made: {}", name,
                std::strerror(errno));
  const std::filesystem::path folder = name;
  try {
    std::filesystem::copy_file(file, folder / "project.frazil");
    if (std::filesystem::exists(log)) std::filesystem::copy_file(log, folder / "project.frazil-wal");
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      std::filesystem::permissions(entry, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  } catch (const std::filesystem::filesystem_error& error) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    throw Error(ErrorCode::io, "{}: cannot be copied for reading: {}", file.string(), error.what());
  }
  return folder;
}

}  // namespace

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

Project::Project(const std::filesystem::path& folder, Access access) : Reader(nullptr), access_(access) {
  const auto file = folder / "project.frazil";
  if (access == Access::write) {
    database_ = std::make_unique<Database>(file);
    migrate(file);
    read_counters();
    return;
  }
  std::error_code missing;
  const auto log = std::filesystem::path(file.string() + "-wal");
  if (const auto size = std::filesystem::file_size(log, missing); missing || size == 0) {
    database_ = std::make_unique<Database>(file, Access::read);
    if (version() == static_cast<std::int64_t>(migrations.size())) {
      read_counters();
      return;
    }
  }
  copy_ = private_copy(file, log);
  try {
    database_ = std::make_unique<Database>(copy_ / "project.frazil");
    migrate(copy_ / "project.frazil");
    read_counters();
  } catch (...) {
    remove_copy();
    throw;
  }
}

Project::~Project() {
  try {
    commit();
    if (access_ == Access::write) database_->checkpoint();
  } catch (const Error&) {  // the log is replayed at the next opening
  }
  remove_copy();
}

void Project::remove_copy() {
  if (copy_.empty()) return;
  database_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(copy_, ignored);
}

std::int64_t Project::version() {
  auto query = database_->query("PRAGMA user_version");
  return query.step() ? query.integer() : 0;
}

void Project::migrate(const std::filesystem::path& file) {
  auto version = this->version();
  const auto newest = static_cast<std::int64_t>(migrations.size());
  if (version > newest)
    throw Error(ErrorCode::unsupported, "{}: was written by a newer frazil (schema {}, this program knows {})",
                file.string(), version, newest);
  if (version > 0 && version < newest && access_ == Access::write)
    database_->backup(file.string() + ".v" + std::to_string(version));
  for (; version < newest; ++version)
    database_->execute("BEGIN; " + std::string(migrations[static_cast<std::size_t>(version)]) +
                       " PRAGMA user_version = " + std::to_string(version + 1) + "; COMMIT;");
}

void Project::begin() {
  if (access_ == Access::read) throw Error(ErrorCode::bug, "a project that was opened for reading is to be changed");
  if (dirty_) return;
  database_->query("BEGIN").run();
  dirty_ = true;
}

std::int64_t Project::commit() {
  if (!dirty_) return sequence_;
  put("sequence", std::to_string(sequence_ + 1));
  try {
    database_->query("COMMIT").run();
  } catch (const Error&) {
    rollback();
    throw;
  }
  dirty_ = false;
  durable_event_ = event_;
  return ++sequence_;
}

void Project::rollback() {
  if (!std::exchange(dirty_, false)) return;
  program_numbers_.clear();  // what was numbered is gone with the rest
  actor_numbers_.clear();
  try {
    if (database_->in_transaction()) database_->query("ROLLBACK").run();
  } catch (const Error&) {  // the transaction is not committed, which is all that is asked for
  }
  read_counters();
}

/// What goes on counting from where it stood.
void Project::read_counters() {
  sequence_ = std::stoll(get("sequence").value_or("0"));
  auto query = database_->query("SELECT COALESCE(MAX(n), 0) FROM event");
  if (query.step()) durable_event_ = event_ = query.integer();
}

void Project::put(const std::string& key, const std::string& value) {
  begin();
  database_
      ->query("INSERT INTO setting (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
      .bind(key)
      .bind(value)
      .run();
}

std::optional<std::string> Reader::get(const std::string& key) {
  auto query = database_->query("SELECT value FROM setting WHERE key = ?");
  query.bind(key);
  if (!query.step()) return std::nullopt;
  return query.text();
}

void Reader::for_settings(const std::string& start,
                          const std::function<void(const std::string& key, const std::string& value)>& visit) {
  auto end = start;
  ++end.back();
  auto query = database_->query("SELECT key, value FROM setting WHERE key >= ? AND key < ?");
  query.bind(start).bind(end);
  while (query.step()) {
    const auto key = query.text();
    visit(key, query.text());
  }
}

std::int64_t Project::add_item(const ItemRow& item) {
  begin();
  const auto actor = number_of(item.actor, actor_numbers_, "INSERT INTO actor (text) VALUES (?) ON CONFLICT DO NOTHING",
                               "SELECT n FROM actor WHERE text = ?");
  database_
      ->query(
          "INSERT INTO item (id, kind, step, port, subject, ord, label, record, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
          "?) ON CONFLICT (id) DO NOTHING")
      .bind(item.id)
      .bind(item.kind)
      .bind(item.step)
      .bind(item.port)
      .bind(item.subject)
      .bind(item.order)
      .bind(item.label)
      .bind(item.record)
      .bind(actor)
      .run();
  if (database_->changes() > 0) return database_->last_row();
  auto existing = database_->query("SELECT n FROM item WHERE id = ?");
  existing.bind(item.id);
  if (!existing.step()) throw Error(ErrorCode::bug, "the item {} is there and is not", item.id);
  return existing.integer();
}

std::int64_t Project::add_task(const TaskRow& task) {
  begin();
  const auto program =
      number_of(task.programs, program_numbers_, "INSERT INTO program (text) VALUES (?) ON CONFLICT (text) DO NOTHING",
                "SELECT n FROM program WHERE text = ?");
  const auto insert = [&] {
    auto query = database_->query(insert_task);
    lend_task(query, task, program);
    query.run();
    return database_->changes() > 0;
  };
  if (!insert()) {
    forget_task(task.key);
    insert();
  }
  const auto n = database_->last_row();
  int place = 0;
  for (const auto& [port, item] : task.outputs)
    database_->query("INSERT INTO output (task, place, port, item) VALUES (?, ?, ?, ?)")
        .bind(n)
        .bind(place++)
        .bind(port)
        .bind(item)
        .run();
  return n;
}

/// Number of a text that many rows name; 0 for the empty one.
std::int64_t Project::number_of(const std::string& text, Numbers& known, const char* insert, const char* select) {
  if (text.empty()) return 0;
  if (const auto found = known.find(text); found != known.end()) return found->second;
  database_->query(insert).bind(text).run();
  auto query = database_->query(select);
  query.bind(text);
  if (!query.step()) throw Error(ErrorCode::bug, "the text {} is there and is not", text);
  return known[text] = query.integer();
}

void Project::end_hold(std::int64_t task, bool accepted, std::string_view why) {
  begin();
  database_->query("UPDATE output SET port = ? WHERE task = ? AND place = 0")
      .bind(accepted ? "accepted" : "set_aside")
      .bind(task)
      .run();
  database_
      ->query(
          "UPDATE decision SET accepted = ?, held = 0, reason = reason || ?, time = ? WHERE by = 'rule' AND key = "
          "(SELECT key FROM task WHERE n = ?)")
      .bind(accepted)
      .bind(why)
      .bind(now())
      .bind(task)
      .run();
}

void Project::rename_in_records(const std::string& step, const std::string& from, const std::string& to) {
  begin();
  database_->query("UPDATE item SET record = replace(record, ?, ?) WHERE step = ?")
      .bind(Json(from).dump())
      .bind(Json(to).dump())
      .bind(step)
      .run();
}

void Project::forget_task(const std::string& key) {
  begin();
  database_->query("DELETE FROM task WHERE key = ?").bind(key).run();
}

void Project::add_batch(const BatchRow& batch) {
  begin();
  database_->query("INSERT INTO batch (step, number, members, time) VALUES (?, ?, ?, ?)")
      .bind(batch.step)
      .bind(batch.number)
      .bind(Json(batch.members).dump())
      .bind(now())
      .run();
}

void Project::add_decision(const DecisionRow& decision) {
  begin();
  auto query = database_->query(insert_decision);
  lend_decision(query, decision);
  query.run();
}

/// In the order of the keys, which is that of their index: its pages are then changed one after another.
std::vector<std::int64_t> Project::add_decided(const std::vector<DecidedRow>& list) {
  begin();
  std::vector<std::size_t> order(list.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return list[a].task.key < list[b].task.key; });
  const auto numbers = add_new_tasks(list, order);
  {
    auto query = database_->query("INSERT INTO output (task, place, port, item) VALUES (?, ?, ?, ?)");
    for (std::size_t i = 0; i < list.size(); ++i)  // as the items follow one another, which are looked for
      for (std::size_t place = 0; numbers[i] > 0 && place < list[i].task.outputs.size(); ++place) {
        const auto& [port, item] = list[i].task.outputs[place];
        query.bind(numbers[i]).bind(static_cast<int>(place)).lend(port).bind(item).run();
        query.reset();
      }
  }
  auto query = database_->query(insert_decision);
  for (const auto i : order) {
    if (numbers[i] == 0) continue;
    lend_decision(query, list[i].decision);
    query.run();
    query.reset();
  }
  return numbers;
}

std::vector<std::int64_t> Project::add_new_tasks(const std::vector<DecidedRow>& list,
                                                 const std::vector<std::size_t>& order) {
  std::vector<std::int64_t> programs, numbers(list.size(), 0);
  for (const auto& row : list)
    programs.push_back(number_of(row.task.programs, program_numbers_,
                                 "INSERT INTO program (text) VALUES (?) ON CONFLICT (text) DO NOTHING",
                                 "SELECT n FROM program WHERE text = ?"));
  auto query = database_->query(insert_task);
  for (const auto i : order) {
    lend_task(query, list[i].task, programs[i]);
    query.run();
    if (database_->changes() > 0) numbers[i] = database_->last_row();
    query.reset();
  }
  return numbers;
}

void Project::add_file(const FileRow& file) {
  begin();
  database_
      ->query(
          "INSERT INTO file (step, path, size, mtime_ns, state, hash, subject, reason, time) VALUES (?, ?, ?, ?, ?, ?, "
          "?, ?, ?)")
      .bind(file.step)
      .bind(file.path)
      .bind(file.size)
      .bind(file.mtime_ns)
      .bind(file.state)
      .bind(file.hash)
      .bind(file.subject)
      .bind(file.reason)
      .bind(now())
      .run();
}

void Project::add_event(std::string_view kind, std::string_view step, std::string_view label, std::string_view text,
                        std::string_view actor) {
  begin();
  database_->query("INSERT INTO event (time, kind, step, label, text, actor) VALUES (?, ?, ?, ?, ?, ?)")
      .bind(now())
      .bind(kind)
      .bind(step)
      .bind(label)
      .bind(text)
      .bind(actor)
      .run();
  event_ = database_->last_row();
}

ItemRow Reader::item(std::int64_t n) {
  auto query = database_->query(
      "SELECT n, id, kind, step, port, subject, ord, label, record, COALESCE((SELECT text FROM actor WHERE actor.n = "
      "item.actor), '') FROM item WHERE n = ?");
  query.bind(n);
  if (!query.step()) throw Error(ErrorCode::bug, "the project has no item number {}", n);
  return read_item(query);
}

std::string Reader::record(std::int64_t n) {
  auto query = database_->query("SELECT record FROM item WHERE n = ?");
  query.bind(n);
  if (!query.step()) throw Error(ErrorCode::bug, "the project has no item number {}", n);
  return query.text();
}

std::string Reader::item_id(std::int64_t n) {
  auto query = database_->query("SELECT id FROM item WHERE n = ?");
  query.bind(n);
  if (!query.step()) throw Error(ErrorCode::bug, "the project has no item number {}", n);
  return query.text();
}

std::optional<ItemRow> Reader::find_item(const std::string& id) {
  auto query = database_->query(
      "SELECT n, id, kind, step, port, subject, ord, label, record, COALESCE((SELECT text FROM actor WHERE actor.n = "
      "item.actor), '') FROM item WHERE id = ?");
  query.bind(id);
  if (!query.step()) return std::nullopt;
  return read_item(query);
}

std::pair<std::string, std::string> Reader::item_name(std::int64_t n) {
  auto query = database_->query("SELECT ord, label FROM item WHERE n = ?");
  query.bind(n);
  if (!query.step()) throw Error(ErrorCode::bug, "the project has no item number {}", n);
  auto order = query.text();
  return {std::move(order), query.text()};
}

void Reader::for_item_ids(const std::function<void(std::int64_t n, std::string_view id)>& visit) {
  auto query = database_->query("SELECT n, id FROM item");
  while (query.step()) {
    const auto n = query.integer();
    visit(n, query.view());
  }
}

void Reader::for_task_keys(const std::function<void(std::int64_t n, std::string_view key)>& visit) {
  auto query = database_->query("SELECT n, key FROM task");
  while (query.step()) {
    const auto n = query.integer();
    visit(n, query.view());
  }
}

void Reader::for_outputs(
    const std::function<void(std::int64_t task, std::string_view port, std::int64_t item)>& visit) {
  auto query = database_->query("SELECT task, item, port FROM output ORDER BY task, place");
  while (query.step()) {
    const auto task = query.integer();
    const auto item = query.integer();
    visit(task, query.view(), item);
  }
}

std::vector<std::int64_t> Reader::failed_tasks() {
  auto query = database_->query("SELECT n FROM task WHERE failed = 1 ORDER BY n");
  std::vector<std::int64_t> list;
  while (query.step()) list.push_back(query.integer());
  return list;
}

bool Reader::has_task(const std::string& step, const std::string& key_start) {
  auto query = database_->query("SELECT 1 FROM task WHERE key >= ? AND key < ? AND step = ? AND failed = 0 LIMIT 1");
  query.bind(key_start).bind(key_start + "g").bind(step);  // "g" follows all hex digits
  return query.step();
}

std::vector<CostRow> Reader::costs() {
  auto query = database_->query("SELECT key, size, peak_mib, seconds, count FROM cost");
  std::vector<CostRow> list;
  while (query.step()) {
    CostRow row;
    row.key = query.text();
    row.size = static_cast<int>(query.integer());
    row.peak_mib = static_cast<int>(query.integer());
    row.seconds = query.number();
    row.count = query.integer();
    list.push_back(std::move(row));
  }
  return list;
}

namespace {

QuestionRow read_question(Query& query) {
  QuestionRow row;
  row.n = query.integer();
  row.key = query.text();
  row.step = query.text();
  row.label = query.text();
  row.text = query.text();
  row.asked = query.number();
  row.answered = query.number();
  row.answer = query.text();
  row.actor = query.text();
  return row;
}

}  // namespace

std::vector<QuestionRow> Reader::open_questions() {
  auto query = database_->query(
      "SELECT n, key, step, label, text, asked, answered, answer, actor FROM question WHERE answered = 0 ORDER BY n");
  std::vector<QuestionRow> list;
  while (query.step()) list.push_back(read_question(query));
  return list;
}

std::optional<QuestionRow> Reader::find_question(const std::string& key) {
  auto query =
      database_->query("SELECT n, key, step, label, text, asked, answered, answer, actor FROM question WHERE key = ?");
  query.bind(key);
  return query.step() ? std::optional(read_question(query)) : std::nullopt;
}

std::int64_t Project::ask(const QuestionRow& question) {
  begin();
  database_
      ->query(
          "INSERT INTO question (key, step, label, text, asked) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
          "asked = excluded.asked, answered = 0, answer = '', actor = '' WHERE answered > 0")
      .bind(question.key)
      .bind(question.step)
      .bind(question.label)
      .bind(question.text)
      .bind(question.asked)
      .run();
  auto query = database_->query("SELECT n FROM question WHERE key = ?");
  query.bind(question.key);
  (void)query.step();
  return query.integer();
}

void Project::answer_question(std::int64_t n, const std::string& answer, const std::string& actor) {
  begin();
  database_->query("UPDATE question SET answered = ?, answer = ?, actor = ? WHERE n = ?")
      .bind(now())
      .bind(answer)
      .bind(actor)
      .bind(n)
      .run();
}

void Project::forget_question(const std::string& key) {
  begin();
  database_->query("DELETE FROM question WHERE key = ? AND answered = 0").bind(key).run();
}

std::vector<KillRow> Reader::kills() {
  auto query = database_->query("SELECT key, deaths, alone FROM kill");
  std::vector<KillRow> list;
  while (query.step()) {
    KillRow row;
    row.key = query.text();
    row.deaths = static_cast<int>(query.integer());
    row.alone = static_cast<int>(query.integer());
    list.push_back(std::move(row));
  }
  return list;
}

void Project::put_kills(const KillRow& kills) {
  begin();
  database_->query("INSERT OR REPLACE INTO kill (key, deaths, alone) VALUES (?, ?, ?)")
      .bind(kills.key)
      .bind(kills.deaths)
      .bind(kills.alone)
      .run();
}

void Project::forget_kills(const std::string& key) {
  begin();
  database_->query("DELETE FROM kill WHERE key = ?").bind(key).run();
}

void Project::put_cost(const CostRow& cost) {
  begin();
  database_
      ->query(
          "INSERT INTO cost (key, size, peak_mib, seconds, count) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, size) DO "
          "UPDATE SET peak_mib = excluded.peak_mib, "
          "seconds = excluded.seconds, count = excluded.count")
      .bind(cost.key)
      .bind(cost.size)
      .bind(cost.peak_mib)
      .bind(cost.seconds)
      .bind(cost.count)
      .run();
}

void Reader::for_tasks(const std::function<void(TaskRow&&)>& visit) {
  auto outputs = database_->query("SELECT task, port, item FROM output ORDER BY task, place");
  bool more = outputs.step();
  std::int64_t owner = more ? outputs.integer() : 0;
  auto query = database_->query(
      "SELECT n, key, step, protocol, version, subject, label, ord, failed, code, message, attempts, seconds, "
      "peak_mib, threads, "
      "target, inputs, finished, COALESCE((SELECT text FROM program WHERE program.n = task.program), '') FROM task "
      "ORDER BY n");
  while (query.step()) {
    auto task = read_task(query);
    while (more && owner <= task.n) {
      auto port = outputs.text();
      const auto item = outputs.integer();
      if (owner == task.n) task.outputs.emplace_back(std::move(port), item);
      more = outputs.step();
      owner = more ? outputs.integer() : 0;
    }
    visit(std::move(task));
  }
}

std::optional<TaskRow> Reader::find_task(const std::string& key) {
  auto query = database_->query(
      "SELECT n, key, step, protocol, version, subject, label, ord, failed, code, message, attempts, seconds, "
      "peak_mib, threads, "
      "target, inputs, finished, COALESCE((SELECT text FROM program WHERE program.n = task.program), '') FROM task "
      "WHERE key = ?");
  query.bind(key);
  if (!query.step()) return std::nullopt;
  auto task = read_task(query);
  auto outputs = database_->query("SELECT port, item FROM output WHERE task = ? ORDER BY place");
  outputs.bind(task.n);
  while (outputs.step()) {
    auto port = outputs.text();
    task.outputs.emplace_back(std::move(port), outputs.integer());
  }
  return task;
}

void Reader::for_task(std::int64_t n, const std::function<void(const TaskRow&)>& visit) {
  std::string key;
  {
    auto query = database_->query("SELECT key FROM task WHERE n = ?");
    query.bind(n);
    if (!query.step()) return;
    key = query.text();
  }
  if (const auto task = find_task(key)) visit(*task);
}

std::vector<BatchRow> Reader::batches() {
  auto query = database_->query("SELECT step, number, members FROM batch ORDER BY step, number");
  std::vector<BatchRow> list;
  while (query.step()) {
    BatchRow row;
    row.step = query.text();
    row.number = static_cast<int>(query.integer());
    row.members = Json::parse(query.text()).get<std::vector<std::string>>();
    list.push_back(std::move(row));
  }
  return list;
}

std::vector<DecisionRow> Reader::decisions() {
  auto query = database_->query(
      "SELECT n, step, item, subject, label, accepted, rule, value, bound, reason, by, key, time, actor, title, held "
      "FROM "
      "decision ORDER "
      "BY n");
  return read_decisions(query);
}

std::vector<DecisionRow> Reader::decisions_of_people() {
  auto query = database_->query(
      "SELECT n, step, item, subject, label, accepted, rule, value, bound, reason, by, key, time, actor, title, held "
      "FROM "
      "decision WHERE "
      "by = 'person' ORDER BY n");
  return read_decisions(query);
}

std::vector<DecisionRow> Reader::decisions_of_rule(const std::string& rule) {
  auto query = database_->query(
      "SELECT n, step, item, subject, label, accepted, rule, value, bound, reason, by, key, time, actor, title, held "
      "FROM "
      "decision WHERE by = 'rule' AND rule = ? ORDER BY n");
  query.bind(rule);
  return read_decisions(query);
}

std::vector<DecisionRow> Reader::decisions_of_task(const std::string& key) {
  auto query = database_->query(
      "SELECT n, step, item, subject, label, accepted, rule, value, bound, reason, by, key, time, actor, title, held "
      "FROM "
      "decision WHERE "
      "by = 'rule' AND key = ?");
  query.bind(key);
  return read_decisions(query);
}

std::vector<FileRow> Reader::files() {
  auto query =
      database_->query("SELECT n, step, path, size, mtime_ns, state, hash, subject, reason, time FROM file ORDER BY n");
  return read_files(query);
}

std::vector<FileRow> Reader::files_after(std::int64_t n, int count) {
  auto query = database_->query(
      "SELECT n, step, path, size, mtime_ns, state, hash, subject, reason, time FROM file WHERE n > ? ORDER BY n LIMIT "
      "?");
  query.bind(n).bind(count);
  return read_files(query);
}
std::vector<EventRow> Reader::events(int count) {
  auto query = database_->query(
      "SELECT n, time, kind, step, label, text, actor FROM (SELECT * FROM event ORDER BY n DESC LIMIT ?) ORDER BY n");
  query.bind(count);
  return read_events(query);
}

std::vector<EventRow> Reader::events_after(std::int64_t n, int count) {
  auto query =
      database_->query("SELECT n, time, kind, step, label, text, actor FROM event WHERE n > ? ORDER BY n LIMIT ?");
  query.bind(n).bind(count);
  return read_events(query);
}

std::optional<DecisionRow> Reader::decision_of_task(std::int64_t n) {
  auto query = database_->query(
      "SELECT d.n, d.step, d.item, d.subject, d.label, d.accepted, d.rule, d.value, d.bound, d.reason, d.by, d.key, "
      "d.time, d.actor, d.title, d.held FROM task t JOIN decision d ON d.key = t.key AND d.by = 'rule' WHERE t.n = ?");
  query.bind(n);
  auto list = read_decisions(query);
  if (list.empty()) return std::nullopt;
  return std::move(list.front());
}

std::optional<int> Reader::batch_with(const std::string& step, const std::string& subject) {
  auto query = database_->query("SELECT number FROM batch WHERE step = ? AND instr(members, ?) > 0 LIMIT 1");
  query.bind(step).bind("\"" + subject + "\"");
  if (!query.step()) return std::nullopt;
  return static_cast<int>(query.integer());
}

std::vector<std::int64_t> Reader::items_with_id(const std::string& start, int most) {
  auto query = database_->query("SELECT n FROM item WHERE id >= ? AND id < ? ORDER BY id LIMIT ?");
  query.bind(start).bind(start + "g").bind(most);  // "g" follows all hex digits
  std::vector<std::int64_t> list;
  while (query.step()) list.push_back(query.integer());
  return list;
}

}  // namespace frazil::store
