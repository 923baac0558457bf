#include "frazil/engine/snapshot.hpp"

#include <algorithm>
#include <concepts>
#include <set>

#include "frazil/engine/pages.hpp"

namespace frazil::engine {
namespace {

constexpr std::size_t piece_bytes = 1 << 16;

/// Text that goes out in pieces of some size.
class Pieces {
 public:
  explicit Pieces(const std::function<void(std::string_view)>& write) : write_(write) {}
  Pieces& operator<<(std::string_view text) {
    text_ += text;
    if (text_.size() >= piece_bytes) flush();
    return *this;
  }
  template <std::same_as<Json> J>  // not what may become one
  Pieces& operator<<(const J& json) {
    return *this << std::string_view(dump(json));
  }
  void flush() {
    if (!text_.empty()) write_(text_);
    text_.clear();
  }

 private:
  static std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
  const std::function<void(std::string_view)>& write_;
  std::string text_;
};

/// A list whose entries follow one another.
class List {
 public:
  explicit List(Pieces& out) : out_(out) { out_ << "["; }
  Pieces& next() {
    if (!first_) out_ << ",";
    first_ = false;
    return out_;
  }
  void end() { out_ << "]"; }

 private:
  Pieces& out_;
  bool first_ = true;
};

std::string endpoint_name(const flow::Plan& plan, const flow::Endpoint& from) {
  const auto& step = plan.steps[static_cast<std::size_t>(from.step)];
  return step.name + "." + step.protocol->outputs[static_cast<std::size_t>(from.port)].name;
}

Json describe_step(const flow::Plan& plan, const flow::PlannedStep& planned) {
  Json inputs = Json::object();
  for (const auto& input : planned.inputs)
    for (const auto& from : input.from) inputs[input.port].push_back(endpoint_name(plan, from));
  Json where = Json::array();
  for (const auto& from : planned.where) where.push_back(endpoint_name(plan, from));
  return {{"name", planned.name},
          {"title", planned.title},
          {"protocol", planned.protocol->name},
          {"version", planned.protocol->version},
          {"cites", planned.protocol->cites},
          {"shape", frazil::name_of(planned.protocol->shape)},
          {"params", planned.params},
          {"inputs", inputs},
          {"where", where}};
}

Json counts_json(const State& state, int index) {
  const auto& s = state.live.status.steps[static_cast<std::size_t>(index)];
  return {{"waiting", s.waiting},     {"queued", s.queued},     {"running", s.running},
          {"done", s.done},           {"failed", s.failed},     {"accepted", s.accepted},
          {"set_aside", s.set_aside}, {"versions", s.versions}, {"items", s.items}};
}

Json summary_of(std::vector<double> seconds) {
  if (seconds.empty()) return {{"median", 0}, {"mean", 0}, {"total", 0}};
  std::sort(seconds.begin(), seconds.end());
  double total = 0;
  for (const double s : seconds) total += s;
  return {
      {"median", seconds[seconds.size() / 2]}, {"mean", total / static_cast<double>(seconds.size())}, {"total", total}};
}

void write_set(const Reading& reading, int index, int port, Pieces& out) {
  const auto& state = *reading.state;
  const auto& info = state.planned(index).protocol->outputs[static_cast<std::size_t>(port)];
  out << "{\"port\":" << Json(info.name) << ",\"kind\":" << Json(info.kind) << ",\"items\":";
  List list(out);
  const auto& items = state.step(index).ports[static_cast<std::size_t>(port)].items;
  for (const int subject : *state.by_order) {
    const auto n = items[subject];
    if (n == 0) continue;
    const auto& who = state.subject(subject);
    const auto row = reading.reader.item(n);
    list.next() << "{\"id\":\"" << row.id << "\",\"subject\":" << Json(who.id) << ",\"label\":" << Json(who.label)
                << ",\"order\":" << Json(who.order) << ",\"record\":" << row.record << "}";
  }
  list.end();
  out << "}";
}

/// Numbers of all tasks in play at a step, in the order they ended.
std::vector<std::int64_t> tasks_of(const State& state, int index) {
  const auto& step = state.step(index);
  std::set<std::int64_t> numbers;
  for (int subject = 0; subject < state.subject_count; ++subject)
    if (const auto n = step.tasks[subject]; n > 0) numbers.insert(n);
  for (const auto& version : step.made) numbers.insert(version.task);
  return {numbers.begin(), numbers.end()};
}

/// tasks, failures, seconds and peak memory.
void write_tasks(const Reading& reading, int index, Pieces& out) {
  Json failures = Json::array();
  std::vector<double> seconds;
  int peak = 0;
  out << ",\"tasks\":";
  List tasks(out);
  for (const auto n : tasks_of(*reading.state, index))
    reading.reader.for_task(n, [&](const store::TaskRow& row) {
      if (row.failed) {
        failures.push_back({{"subject", row.subject},
                            {"label", row.label},
                            {"code", row.code},
                            {"message", row.message},
                            {"attempts", row.attempts},
                            {"time", row.finished}});
        return;
      }
      seconds.push_back(row.seconds);
      peak = std::max(peak, row.peak_mib);
      tasks.next() << Json({{"subject", row.subject},
                            {"label", row.label},
                            {"seconds", row.seconds},
                            {"peak_mib", row.peak_mib},
                            {"threads", row.threads},
                            {"finished", row.finished}});
    });
  tasks.end();
  out << ",\"failures\":" << failures << ",\"seconds\":" << summary_of(std::move(seconds))
      << ",\"peak_mib\":" << Json(peak);
}

void write_decisions(const Reading& reading, int index, const std::vector<store::DecisionRow>& people, Pieces& out) {
  const auto& state = *reading.state;
  out << ",\"decisions\":";
  List list(out);
  if (state.planned(index).protocol->shape == flow::Shape::filter)
    for (const auto n : tasks_of(state, index))
      if (const auto row = reading.reader.decision_of_task(n)) list.next() << decision_json(*row);
  for (const auto& row : people)
    if (row.step == state.planned(index).name) list.next() << decision_json(row);
  list.end();
}

void write_step(const Reading& reading, int index, const std::vector<store::DecisionRow>& people, Pieces& out) {
  const auto& state = *reading.state;
  auto json = describe_step(state.head->plan, state.planned(index));
  const auto& status = state.live.status.steps[static_cast<std::size_t>(index)];
  json["closed"] = status.closed;
  json["note"] = status.note;
  json["counts"] = counts_json(state, index);
  auto head = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  head.pop_back();  // the object goes on
  out << head << ",\"sets\":";
  List sets(out);
  for (std::size_t port = 0; port < state.step(index).ports.size(); ++port)
    write_set(reading, index, static_cast<int>(port), sets.next());
  sets.end();
  write_tasks(reading, index, out);
  write_decisions(reading, index, people, out);
  out << "}";
}

void write_files(const State& state, Pieces& out) {
  List list(out);
  for (int i = 0; i < state.file_count; ++i) {
    const auto& file = *state.files[i];
    if (file.state == "incomplete" || file.state == "gone") continue;  // those that still are come below
    list.next() << Json({{"step", file.step},
                         {"path", file.path},
                         {"state", file.state},
                         {"subject", file.subject},
                         {"reason", file.reason},
                         {"time", file.time}});
  }
  for (std::size_t i = 0; i < state.live.growing.size(); ++i)
    for (const auto& [path, reason] : state.live.growing[i])
      list.next() << Json({{"step", state.head->plan.steps[i].name},
                           {"path", path},
                           {"state", "growing"},
                           {"subject", ""},
                           {"reason", reason},
                           {"time", store::now()}});
  list.end();
}

Json project_json(const State& state) {
  const auto& plan = state.head->plan;
  const auto name = plan.values.value("project_name", Json(""));
  return {{"folder", state.head->folder.string()},
          {"name", name.is_string() ? name : Json("")},
          {"title", plan.title},
          {"state", state.live.status.state},
          {"created", state.head->created},
          {"seconds", state.live.status.seconds}};
}

}  // namespace

void write_snapshot(const Reading& reading, const std::function<void(std::string_view piece)>& write) {
  const auto& state = *reading.state;
  Pieces out(write);
  out << "{\"project\":" << project_json(state) << ",\"workflow\":" << Json::parse(state.head->workflow)
      << ",\"values\":" << state.head->plan.values << ",\"steps\":";
  List steps(out);
  auto people = reading.reader.decisions_of_rule("replaced");
  for (auto& row : reading.reader.decisions_of_people()) people.push_back(std::move(row));
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) write_step(reading, i, people, steps.next());
  steps.end();
  out << ",\"files\":";
  write_files(state, out);
  Json events = Json::array();
  for (const auto& event : reading.reader.events(500)) events.push_back(event_json(event));
  out << ",\"events\":" << events << ",\"status\":" << to_json(state.live.status) << "}";
  out.flush();
}

Json snapshot_of(const Reading& reading) {
  std::string text;
  write_snapshot(reading, [&](std::string_view piece) { text += piece; });
  return Json::parse(text);
}

Json read_snapshot(const std::filesystem::path& project, const flow::Registry& registry) {
  const auto answer = ask(project, registry, {{"command", "snapshot"}});
  if (!answer.value("ok", false))
    throw Error(error_code_from(answer.value("code", "bug")), "{}",
                answer.value("error", "the engine gave no snapshot"));
  return answer.at("snapshot");
}

}  // namespace frazil::engine
