#include "frazil/engine/pages.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/utf8.hpp"
#include "frazil/engine/accountant.hpp"
#include "frazil/engine/names.hpp"
#include "frazil/engine/table.hpp"

namespace frazil::engine {
namespace {

constexpr int most_rows = 10000;  ///< of a page
constexpr int most_items = 20;    ///< told in full for one name

Json number_json(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string item_id(store::Reader& reader, std::int64_t n) { return n > 0 ? reader.item_id(n) : std::string(); }

const store::DecisionRow* person_at(const State& state, int step, int subject) {
  const auto found = state.people->find({step, subject});
  return found == state.people->end() ? nullptr : &found->second;
}

std::string_view name_of_person(const store::DecisionRow& row) {
  return row.actor.empty() ? std::string_view("a person") : std::string_view(row.actor);
}

int subject_with_id(const State& state, std::string_view id) {
  for (int i = 0; i < state.subject_count; ++i)
    if (state.subject(i).id == id) return i;
  return -1;
}

Json file_json(const FileView& file) {
  return {
      {"step", file.step}, {"path", file.path}, {"state", file.state}, {"reason", file.reason}, {"time", file.time}};
}

// ---- why --------------------------------------------------------------------------------------------------------

/// Fills in what the task of a subject at a step gave. @return what became of the subject by it; empty: it went on
std::string explain_task(const Reading& reading, std::int64_t task, Json& entry) {
  std::string outcome;
  reading.reader.for_task(task, [&](const store::TaskRow& row) {
    entry["seconds"] = row.seconds;
    if (row.failed) {
      entry["error"] = {{"code", row.code}, {"message", row.message}};
      outcome = fmt::format("failed at {}: {}", row.step, row.message);
    }
    for (const auto& d : reading.reader.decisions_of_task(row.key)) {
      entry["decision"] = {{"accepted", d.accepted},
                           {"rule", d.rule},
                           {"value", number_json(d.value)},
                           {"limit", number_json(d.limit)},
                           {"reason", d.reason},
                           {"by", d.by},
                           {"actor", d.actor},
                           {"title", d.title}};
      if (!d.accepted)
        outcome = fmt::format("set aside at {} by the rule {}: {:g}, limit {:g}{}", d.step, d.rule, d.value, d.limit,
                              d.reason.empty() ? "" : " (" + d.reason + ")");
    }
  });
  return outcome;
}

/// "left out: 80 box over the edge, 2 flat": what of the inputs is not in a result, as its record says.
std::string left_out_text(const std::string& record) {
  if (record.find("left_out_reasons") == std::string::npos) return {};
  const auto json = Json::parse(record, nullptr, false);
  const auto reasons = json.value("left_out_reasons", Json::array()),
             counts = json.value("left_out_counts", Json::array());
  std::string text;
  for (std::size_t i = 0; i < reasons.size() && i < counts.size(); ++i)
    text += fmt::format("{}{} {}", text.empty() ? "left out: " : ", ", counts[i].dump(), reasons[i].get<std::string>());
  return text;
}

Json explain_step(const Reading& reading, int index, int subject, std::string& outcome) {
  const auto& state = *reading.state;
  const auto& planned = state.planned(index);
  const auto& step = state.step(index);
  const auto cell = step.cells[subject];
  Json entry = {{"step", planned.name},
                {"title", planned.title},
                {"protocol", planned.protocol->name},
                {"state", cell == CellState::unknown ? "done" : name_of(cell)}};
  for (std::size_t port = 0; port < step.ports.size(); ++port)
    if (const auto item = step.ports[port].items[subject]; item > 0) {
      entry["items"][planned.protocol->outputs[port].name] = reading.reader.item_id(item);
      if (auto left = left_out_text(reading.reader.record(item)); !left.empty() && !entry.contains("note"))
        entry["note"] = std::move(left);
    }
  if (const auto& note = state.live.status.steps[static_cast<std::size_t>(index)].note;
      !note.empty() && (cell == CellState::absent || cell == CellState::ready))
    entry["note"] = note;
  if (const auto task = step.tasks[subject]; task > 0)
    if (auto told = explain_task(reading, task, entry); !told.empty()) outcome = std::move(told);
  const auto* person = person_at(state, index, subject);
  if (person != nullptr && person->by == "rule") {
    entry["decision"] = {
        {"accepted", person->accepted}, {"rule", person->rule}, {"reason", person->reason}, {"by", person->by}};
    outcome = fmt::format("set aside at {} by the rule {}: {}", planned.name, person->rule, person->reason);
  } else if (person != nullptr) {
    entry["person"] = {
        {"accepted", person->accepted}, {"time", person->time}, {"actor", person->actor}, {"reason", person->reason}};
    outcome = fmt::format("{} by {} at {}", person->accepted ? "kept: restored" : "set aside", name_of_person(*person),
                          planned.name);
  }
  return entry;
}

Json explain(const Reading& reading, int subject) {
  const auto& state = *reading.state;
  const auto& who = state.subject(subject);
  Json chain = Json::array();
  const auto fate = fate_of(state, subject);
  std::string outcome = fate.standing == Standing::in_work && fate.step >= 0
                            ? fmt::format("in work: not yet through {}", state.planned(fate.step).name)
                            : std::string(frazil::name_of(fate.standing));
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i)
    if (state.step(i).cells[subject] != CellState::unknown || who.root == i)
      chain.push_back(explain_step(reading, i, subject, outcome));
  return {{"subject", who.id},
          {"label", who.label},
          {"name", who.name},
          {"path", who.path},
          {"fate", frazil::name_of(fate.standing)},
          {"outcome", outcome},
          {"chain", chain}};
}

/// There is a later row about the file, or what it lacks is told as it is now.
bool is_outdated(const State& state, int row) {
  const auto& file = *state.files[row];
  if (file.state == "incomplete") return true;
  for (int i = row + 1; i < state.file_count; ++i)
    if (state.files[i]->path == file.path && state.files[i]->step == file.step) return true;
  return false;
}

/// Files that have come to no item, or of which there is something to say.
/// @param parts_too  if none has this name, those of whose paths it is a part
Json files_named(const State& state, const std::string& text, bool parts_too) {
  Json files = Json::array();
  const auto visit = [&](const std::function<bool(const std::string&)>& fits) {
    for (int i = 0; i < state.file_count; ++i)
      if (const auto& file = *state.files[i];
          (file.state != "item" || !file.reason.empty()) && fits(file.path) && !is_outdated(state, i))
        files.push_back(file_json(file));
    for (std::size_t i = 0; i < state.live.growing.size(); ++i)
      for (const auto& [path, reason] : state.live.growing[i])
        if (fits(path))
          files.push_back(
              {{"step", state.head->plan.steps[i].name}, {"path", path}, {"state", "growing"}, {"reason", reason}});
  };
  const auto shown = printable_name(text);
  visit([&](const std::string& path) { return names_path(text, path) || names_path(shown, path); });
  if (files.empty() && parts_too && text.size() > 2)
    visit([&](const std::string& path) { return path.find(text) != std::string::npos; });
  return files;
}

// ---- one item ---------------------------------------------------------------------------------------------------

/// Strings of a record that name files of the project.
void collect_files(const Json& value, Json& files) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    for (const std::string_view folder : {"steps/", "raw/", "tables/", "star/"})
      if (text.starts_with(folder)) files.push_back(text);
  } else if (value.is_structured()) {
    for (const auto& inner : value) collect_files(inner, files);
  }
}

/// Task that made an item of a subject at a step, 0 if none did.
std::int64_t maker_of(const State& state, int step, int subject) {
  if (const auto task = state.step(step).tasks[subject]; task > 0) return task;
  for (const auto& version : state.step(step).made)
    if (version.subject == subject) return version.task;
  return 0;
}

Json item_name_json(const store::ItemRow& row) {
  return {{"item", row.id}, {"step", row.step}, {"port", row.port}, {"subject", row.subject}, {"label", row.label}};
}

void add_task(const Reading& reading, std::int64_t task, Json& json) {
  json["task"] = Json();
  json["from"] = Json::array();
  if (task == 0) return;
  reading.reader.for_task(task, [&](const store::TaskRow& row) {
    json["task"] = {{"seconds", row.seconds},   {"peak_mib", row.peak_mib}, {"threads", row.threads},
                    {"attempts", row.attempts}, {"finished", row.finished}, {"target", row.target},
                    {"programs", row.programs}};
    const auto inputs = Json::parse(row.inputs, nullptr, false);
    json["task"]["inputs"] = inputs.size();
    for (const auto& n : inputs) {
      if (json["from"].size() >= 200) return;  // of a fold: the rest is told by its members
      json["from"].push_back(item_name_json(reading.reader.item(n.get<std::int64_t>())));
    }
  });
}

/// What the steps after it have made of the subject of an item.
Json became(const Reading& reading, int first, int subject) {
  const auto& state = *reading.state;
  Json list = Json::array();
  std::string ignored;
  for (int i = first + 1; i < static_cast<int>(state.steps.size()); ++i) {
    if (state.step(i).cells[subject] == CellState::unknown) continue;
    auto entry = explain_step(reading, i, subject, ignored);
    if (flow::takes_lists(state.planned(i).protocol->shape))
      if (const auto number = reading.reader.batch_with(state.planned(i).name, state.subject(subject).id))
        entry["version"] = *number + 1;
    list.push_back(std::move(entry));
  }
  return list;
}

Json whole(const Reading& reading, std::int64_t n) {
  const auto& state = *reading.state;
  const auto row = reading.reader.item(n);
  auto json = item_name_json(row);
  json["order"] = row.order;
  json["kind"] = row.kind;
  json["actor"] = row.actor;
  json["record"] = Json::parse(row.record, nullptr, false);
  json["files"] = Json::array();
  json["decisions"] = Json::array();
  collect_files(json["record"], json["files"]);
  const int step = state.head->plan.find(row.step);
  const int subject = subject_with_id(state, row.subject);
  if (step < 0 || subject < 0) return json;  // of an earlier workflow
  json["path"] = state.subject(subject).path;
  add_task(reading, maker_of(state, step, subject), json);
  json["became"] = became(reading, step, subject);
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) {
    if (state.planned(i).protocol->shape == flow::Shape::filter && state.step(i).tasks[subject] > 0)
      if (const auto decision = reading.reader.decision_of_task(state.step(i).tasks[subject]);
          decision && decision->item == row.id)
        json["decisions"].push_back(decision_json(*decision));
    if (const auto* person = person_at(state, i, subject); person != nullptr && person->item == row.id)
      json["decisions"].push_back(decision_json(*person));
  }
  return json;
}

/// The item that a subject came with.
std::int64_t first_item(const State& state, int subject) {
  for (const auto& port : state.step(state.subject(subject).root).ports)
    if (const auto item = port.items[subject]; item > 0) return item;
  return 0;
}

Json page_row(const Reading& reading, const Table& table, const std::vector<NamedColumn>& columns, int subject) {
  const auto& who = reading.state->subject(subject);
  Json values = Json::object();
  for (const auto& column : columns)
    values[column.name] = column.text ? Json(column.text(subject)) : number_json(column.number(subject));
  return {{"item", item_id(reading.reader, table.item(subject))},
          {"subject", who.id},
          {"label", who.label},
          {"name", who.name},
          {"order", who.order},
          {"path", who.path},
          {"state", table.state_name(subject)},
          {"verdict", table.verdict(subject)},
          {"rule", table.rule(subject)},
          {"actor", table.actor(subject)},
          {"values", std::move(values)}};
}

}  // namespace

Json decision_json(const store::DecisionRow& d) {
  return {{"step", d.step},
          {"item", d.item},
          {"subject", d.subject},
          {"label", d.label},
          {"accepted", d.accepted},
          {"rule", d.rule},
          {"value", number_json(d.value)},
          {"limit", number_json(d.limit)},
          {"reason", d.reason},
          {"by", d.by},
          {"actor", d.actor},
          {"title", d.title},
          {"time", d.time}};
}

Json event_json(const store::EventRow& event) {
  return {{"n", event.n},         {"time", event.time}, {"kind", event.kind},  {"step", event.step},
          {"label", event.label}, {"text", event.text}, {"actor", event.actor}};
}

Json items_page(const Reading& reading, const Choice& choice, int from, int count, std::vector<std::string> columns) {
  const auto& state = *reading.state;
  if (from < 0 || count < 0 || count > most_rows)
    throw Error(ErrorCode::bad_input, "a page begins at 0 or later and has up to {} items", most_rows);
  const Table table(state, choice.step, choice.port);
  if (columns.empty()) columns = table.numbers();
  std::vector<NamedColumn> found;
  for (const auto& name : columns) found.push_back(table.column(name));
  auto rows = table.rows(choice.where);
  const auto end = std::min(rows.size(), static_cast<std::size_t>(from) + static_cast<std::size_t>(count));
  table.sort(rows, choice.sort, end);
  Json items = Json::array();
  for (auto i = static_cast<std::size_t>(from); i < end; ++i) items.push_back(page_row(reading, table, found, rows[i]));
  return {{"total", rows.size()},      {"from", from},       {"columns", std::move(columns)},
          {"items", std::move(items)}, {"read", state.read}, {"sequence", state.sequence}};
}

Json series(const Reading& reading, const Choice& choice, const std::vector<std::string>& columns) {
  const auto& state = *reading.state;
  const Table table(state, choice.step, choice.port);
  auto rows = table.rows(choice.where);
  table.sort(rows, choice.sort, rows.size());
  Json labels = Json::array(), lists = Json::object();
  for (const int subject : rows) labels.push_back(state.subject(subject).label);
  for (const auto& name : columns.empty() ? table.numbers() : columns) {
    const auto column = table.column(name);
    auto& list = lists[name] = Json::array();
    for (const int subject : rows)
      list.push_back(column.text ? Json(column.text(subject)) : number_json(column.number(subject)));
  }
  return {{"count", rows.size()},
          {"labels", std::move(labels)},
          {"columns", std::move(lists)},
          {"read", state.read},
          {"sequence", state.sequence}};
}

Json item_whole(const Reading& reading, const std::string& text) {
  const auto& state = *reading.state;
  const auto named = find_named(state, reading.reader, text);
  auto numbers = named.items;
  for (const int subject : named.subjects)
    if (const auto n = first_item(state, subject); n > 0 && static_cast<int>(numbers.size()) < most_items)
      if (std::find(numbers.begin(), numbers.end(), n) == numbers.end()) numbers.push_back(n);
  if (numbers.empty()) throw Error(ErrorCode::not_found, "the project knows no item {}", text);
  Json items = Json::array();
  for (const auto n : numbers) items.push_back(whole(reading, n));
  return {{"items", std::move(items)}, {"sequence", state.sequence}};
}

Json alarms_since(const Reading& reading, std::int64_t since, int count) {
  const auto last = reading.state->live.last_alarm;
  Json alarms = Json::array();
  for (const auto& row : reading.reader.alarms_after(since, std::clamp(count, 1, most_rows)))
    if (row.n <= last) alarms.push_back(to_json(row));  // not before it is durable
  return {{"alarms", std::move(alarms)}, {"last", last}};
}

Json events_since(const Reading& reading, std::int64_t since, int count, double time) {
  const auto& state = *reading.state;
  if (time > 0) since = std::max(since, reading.reader.last_event_before(time));
  Json events = Json::array(), steps = Json::object();
  for (const auto& row : reading.reader.events_after(since, std::clamp(count, 1, most_rows)))
    if (row.n <= state.live.last_event) events.push_back(event_json(row));  // not before it is durable
  for (std::size_t i = 0; i < state.steps.size(); ++i) steps[state.head->plan.steps[i].name] = state.steps[i]->changed;
  return {{"events", std::move(events)},
          {"last", state.live.last_event},
          {"sequence", state.sequence},
          {"steps", std::move(steps)}};
}

Json why(const Reading& reading, const std::string& text) {
  const auto& state = *reading.state;
  auto named = find_named(state, reading.reader, text);
  auto files = files_named(state, text, named.subjects.empty() && named.items.empty());
  if (named.is_part && !files.empty()) named.subjects.clear();  // a file with just this name
  for (const auto n : named.items)
    if (const int subject = subject_with_id(state, reading.reader.item(n).subject);
        subject >= 0 && std::find(named.subjects.begin(), named.subjects.end(), subject) == named.subjects.end())
      named.subjects.push_back(subject);
  if (named.subjects.empty() && files.empty()) throw Error(ErrorCode::not_found, "the project knows no item {}", text);
  Json items = Json::array();
  for (const int subject : named.subjects)
    if (static_cast<int>(items.size()) < most_items) items.push_back(explain(reading, subject));
  Json answer = {{"items", std::move(items)}, {"files", std::move(files)}};
  if (named.subjects.size() > most_items)
    answer["note"] = fmt::format("{} more fit {}", named.subjects.size() - most_items, text);
  return answer;
}

}  // namespace frazil::engine
