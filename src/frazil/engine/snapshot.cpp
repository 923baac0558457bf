#include "frazil/engine/snapshot.hpp"

#include <algorithm>
#include <unordered_set>

#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

std::string endpoint_name(const flow::Plan& plan, const flow::Endpoint& from) {
  const auto& step = plan.steps[static_cast<std::size_t>(from.step)];
  return step.name + "." + step.protocol->outputs[static_cast<std::size_t>(from.port)].name;
}

Json decision_json(const store::DecisionRow& d) {
  return {{"item", d.item}, {"subject", d.subject}, {"label", d.label}, {"accepted", d.accepted},
          {"rule", d.rule}, {"value", d.value},     {"limit", d.limit}, {"reason", d.reason},
          {"by", d.by},     {"time", d.time},       {"title", d.title}};
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
          {"shape", name_of(planned.protocol->shape)},
          {"params", planned.params},
          {"inputs", inputs},
          {"where", where}};
}

Json summary_of(std::vector<double> seconds) {
  if (seconds.empty()) return {{"median", 0}, {"mean", 0}, {"total", 0}};
  std::sort(seconds.begin(), seconds.end());
  double total = 0;
  for (const double s : seconds) total += s;
  return {
      {"median", seconds[seconds.size() / 2]}, {"mean", total / static_cast<double>(seconds.size())}, {"total", total}};
}

}  // namespace

Json Engine::Impl::snapshot(const std::function<void()>& breathe) {
  const auto now_status = status();
  std::vector<Json> steps;
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const auto& s = now_status.steps[i];
    auto json = describe_step(plan_, plan_.steps[i]);
    json["closed"] = s.closed;
    json["note"] = s.note;
    json["counts"] = {
        {"waiting", s.waiting},     {"queued", s.queued},     {"running", s.running},
        {"done", s.done},           {"failed", s.failed},     {"accepted", s.accepted},
        {"set_aside", s.set_aside}, {"versions", s.versions}, {"items", intake_->counts(static_cast<int>(i)).items}};
    json["sets"] = Json::array();
    const auto& outputs = plan_.steps[i].protocol->outputs;
    for (std::size_t port = 0; port < outputs.size(); ++port) {
      Json items = Json::array();
      for (const auto& [subject, item] : graph_->members(static_cast<int>(i), static_cast<int>(port))) {
        const auto& who = graph_->subject(subject);
        items.push_back({{"id", graph_->item(item).id.hex()},
                         {"subject", who.id},
                         {"label", who.label},
                         {"order", who.order},
                         {"record", Json::parse(store_.record(graph_->item(item).n))}});
        if (items.size() % 64 == 0) breathe();
      }
      json["sets"].push_back({{"port", outputs[port].name}, {"kind", outputs[port].kind}, {"items", std::move(items)}});
    }
    json["decisions"] = json["failures"] = json["tasks"] = Json::array();
    steps.push_back(std::move(json));
  }

  std::unordered_set<std::int64_t> in_play;
  for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) {
    for (int subject = 0; subject < static_cast<int>(graph_->subject_count()); ++subject)
      if (const auto n = graph_->task(i, subject); n > 0) in_play.insert(n);
    in_play.insert(graph_->fold_tasks(i).begin(), graph_->fold_tasks(i).end());
    breathe();
  }
  std::unordered_set<std::string> keys;
  std::vector<std::vector<double>> seconds(steps.size());
  std::vector<int> peaks(steps.size(), 0);
  store_.for_tasks([&](store::TaskRow&& row) {
    if (row.n % 64 == 0) breathe();
    const int index = plan_.find(row.step);
    if (index < 0 || !in_play.contains(row.n)) return;
    const auto at = static_cast<std::size_t>(index);
    keys.insert(row.key);
    if (row.failed) {
      steps[at]["failures"].push_back({{"subject", row.subject},
                                       {"label", row.label},
                                       {"code", row.code},
                                       {"message", row.message},
                                       {"attempts", row.attempts},
                                       {"time", row.finished}});
      return;
    }
    seconds[at].push_back(row.seconds);
    peaks[at] = std::max(peaks[at], row.peak_mib);
    steps[at]["tasks"].push_back({{"subject", row.subject},
                                  {"label", row.label},
                                  {"seconds", row.seconds},
                                  {"peak_mib", row.peak_mib},
                                  {"threads", row.threads},
                                  {"finished", row.finished}});
  });
  for (const auto& d : store_.decisions())
    if (const int index = plan_.find(d.step); index >= 0 && (d.by == "person" || keys.contains(d.key)))
      steps[static_cast<std::size_t>(index)]["decisions"].push_back(decision_json(d));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i]["seconds"] = summary_of(std::move(seconds[i]));
    steps[i]["peak_mib"] = peaks[i];
  }

  Json files = Json::array();
  for (const auto& file : store_.files())
    files.push_back({{"step", file.step},
                     {"path", file.path},
                     {"state", file.state},
                     {"subject", file.subject},
                     {"reason", file.reason},
                     {"time", file.time}});
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    for (const auto& [path, reason] : intake_->growing(static_cast<int>(i)))
      files.push_back({{"step", plan_.steps[i].name},
                       {"path", path},
                       {"state", "growing"},
                       {"subject", ""},
                       {"reason", reason},
                       {"time", store::now()}});
  Json events = Json::array();
  for (const auto& event : store_.events(500))
    events.push_back({{"time", event.time},
                      {"kind", event.kind},
                      {"step", event.step},
                      {"label", event.label},
                      {"text", event.text}});
  return {
      {"project",
       {{"folder", options_.project.string()},
        {"name", plan_.values.value("project_name", Json("")).is_string() ? plan_.values.value("project_name", Json(""))
                                                                          : Json("")},
        {"title", plan_.title},
        {"state", now_status.state},
        {"created", std::stod(store_.get("created").value_or("0"))},
        {"seconds", now_status.seconds}}},
      {"workflow", Json::parse(workflow_.text)},
      {"values", plan_.values},
      {"steps", std::move(steps)},
      {"files", std::move(files)},
      {"events", std::move(events)},
      {"status", to_json(now_status)}};
}

Json read_snapshot(const std::filesystem::path& project, const flow::Registry& registry) {
  const auto answer = ask(project, registry, {{"command", "snapshot"}});
  if (!answer.value("ok", false))
    throw Error(error_code_from(answer.value("code", "bug")), "{}",
                answer.value("error", "the engine gave no snapshot"));
  return answer.at("snapshot");
}

}  // namespace frazil::engine
