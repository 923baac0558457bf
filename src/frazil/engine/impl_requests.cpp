// Answers to people: why is this item where it is, take it back, set it aside, stop.
#include <algorithm>
#include <array>

#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {

Json Engine::Impl::request(const Json& request) {
  constexpr std::array reading{"status", "snapshot", "why", "what-if", "stop"};
  const auto command = request.value("command", "");
  const bool changes = std::find(reading.begin(), reading.end(), command) == reading.end();
  try {
    if (!pool_ && state_ != "finished") show_closed();
    const auto item = request.value("item", "");
    Json answer = {{"ok", true}};
    if (lost_ && changes) throw Error(ErrorCode::unsupported, "nothing can be changed now: {}", disk_problem_);
    if (command == "status")
      answer["status"] = to_json(status());
    else if (command == "snapshot")
      ++generation_, answer["snapshot"] = snapshot();  // one under way for the report begins anew
    else if (command == "why")
      answer.update(why(item));
    else if (command == "restore")
      answer.update(restore(item));
    else if (command == "set-aside")
      answer.update(set_aside(item));
    else if (command == "approve")
      answer.update(approve(item));
    else if (command == "what-if")
      answer.update(what_if(request.value("values", Json::object())));
    else if (command == "set")
      answer.update(set(request.value("values", Json::object())));
    else if (command == "pause" || command == "resume")
      paused_ = command == "pause";
    else if (command == "stop") {
      if (pool_) begin_stop(End::stopped);
    } else if (command == "close") {
      for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
        if (plan_.steps[i].protocol->shape != flow::Shape::source) continue;
        intake_->close(static_cast<int>(i));
        store_.put("closed:" + plan_.steps[i].name, closing(static_cast<int>(i)));
      }
    } else {
      throw Error(ErrorCode::bad_input, "\"{}\" is not a command of the engine", command);
    }
    if (!lost_) commit();
    return answer;
  } catch (const Error& error) {
    if (changes && (error.code() == ErrorCode::io || error.code() == ErrorCode::resource)) {  // perhaps half done
      if (pool_)
        lose(error);
      else
        store_.rollback(), load();
    }
    return {{"ok", false}, {"error", error.what()}, {"code", to_string(error.code())}};
  }
}

/// Nobody watches the folders now: a stream that had ended is shown as ended.
void Engine::Impl::show_closed() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    if (is_closed_for_good(static_cast<int>(i))) graph_->close_source(static_cast<int>(i));
  settle();
  if (graph_->all_closed()) state_ = "finished";
}

/// Subjects that a person may mean: by label, file name, path, or the beginning of an id.
std::vector<int> Engine::Impl::find_subjects(const std::string& text) const {
  if (text.empty())
    throw Error(ErrorCode::bad_input, "which item? Give its name, its file or the first digits of its id");
  const auto name = std::filesystem::path(text).filename().replace_extension().string();
  std::vector<int> exact, similar;
  for (int i = 0; i < static_cast<int>(graph_->subject_count()); ++i) {
    const auto& subject = graph_->subject(i);
    if (subject.label == text || subject.id == text)
      exact.push_back(i);
    else if (subject.label == name || (text.size() >= 6 && subject.id.starts_with(text)))
      similar.push_back(i);
  }
  return exact.empty() ? similar : exact;
}

/// The way of one subject through the steps.
Json Engine::Impl::explain(int subject) {
  const auto& s = graph_->subject(subject);
  Json chain = Json::array();
  std::string outcome = "in play";
  for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) {
    const auto cell = graph_->cell_name(i, subject);
    if (cell.empty() && s.root != i) continue;
    const auto& planned = step(i);
    Json entry = {{"step", planned.name},
                  {"title", planned.title},
                  {"protocol", planned.protocol->name},
                  {"state", cell.empty() ? "done" : cell}};
    for (std::size_t port = 0; port < planned.protocol->outputs.size(); ++port)
      if (const int item = graph_->find(i, static_cast<int>(port), subject); item >= 0)
        entry["items"][planned.protocol->outputs[port].name] = graph_->item(item).id.hex();
    if (const auto note = note_of(i); !note.empty() && (cell == "absent" || cell == "ready")) entry["note"] = note;
    const auto n = graph_->task(i, subject);
    if (n > 0)
      store_.for_task(n, [&](const store::TaskRow& row) {
        entry["seconds"] = row.seconds;
        if (row.failed) {
          entry["error"] = {{"code", row.code}, {"message", row.message}};
          outcome = fmt::format("failed at {}: {}", row.step, row.message);
        }
        for (const auto& d : store_.decisions_of_task(row.key)) {
          entry["decision"] = {{"accepted", d.accepted}, {"rule", d.rule}, {"value", d.value}, {"limit", d.limit},
                               {"reason", d.reason},     {"by", d.by},     {"title", d.title}};
          if (!d.accepted)
            outcome = fmt::format("set aside at {} by the rule {}: {:g}, limit {:g}{}", d.step, d.rule, d.value,
                                  d.limit, d.reason.empty() ? "" : " (" + d.reason + ")");
        }
      });
    for (const auto& d : store_.decisions_of_people())
      if (d.step == planned.name && d.subject == s.id) {
        entry["person"] = {{"accepted", d.accepted}, {"time", d.time}};
        outcome = d.accepted ? "in play: restored by a person at " + d.step : "set aside by a person at " + d.step;
      }
    chain.push_back(std::move(entry));
  }
  return {{"subject", s.id}, {"label", s.label}, {"outcome", outcome}, {"chain", chain}};
}

Json Engine::Impl::why(const std::string& text) {
  Json items = Json::array();
  for (const int subject : find_subjects(text)) items.push_back(explain(subject));
  const auto name = std::filesystem::path(text).filename().string();
  Json files = Json::array();
  for (const auto& file : store_.files())
    if ((file.state != "item" || !file.reason.empty()) &&
        (file.path == text || std::filesystem::path(file.path).filename() == name))
      files.push_back({{"step", file.step},
                       {"path", file.path},
                       {"state", file.state},
                       {"reason", file.reason},
                       {"time", file.time}});
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    for (const auto& [path, reason] : intake_->growing(static_cast<int>(i)))
      if (path == text || std::filesystem::path(path).filename() == name)
        files.push_back({{"step", plan_.steps[i].name}, {"path", path}, {"state", "growing"}, {"reason", reason}});
  if (items.empty() && files.empty()) throw Error(ErrorCode::not_found, "the project knows no item {}", text);
  return {{"items", items}, {"files", files}};
}

void Engine::Impl::decide(int index, int subject, const std::string& item, bool accepted) {
  const auto& s = graph_->subject(subject);
  store_.add_decision({0, step(index).name, item, s.id, s.label, accepted, "person", 0, 0,
                       accepted ? "restored by hand" : "set aside by hand", "person", "", store::now()});
  store_.add_event(accepted ? "restored" : "set aside", step(index).name, s.label, "by hand");
  people_[{step(index).name, item}] = accepted;
  touched_.push_back({index, subject});
}

/// Lets everything follow from what people have just decided.
void Engine::Impl::follow_decisions() {
  for (const auto& [index, subject] : std::exchange(touched_, {})) graph_->reconsider(index, subject);
  settle();
}

Json Engine::Impl::restore(const std::string& text) {
  const auto subjects = find_subjects(text);
  if (subjects.empty()) throw Error(ErrorCode::not_found, "the project knows no item {}", text);
  Json changed = Json::array();
  const auto people = store_.decisions_of_people();
  for (const int subject : subjects) {
    for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) {
      const auto& planned = step(i);
      const auto& id = graph_->subject(subject).id;
      const auto note = [&](std::string_view what) {
        changed.push_back({{"step", planned.name}, {"label", graph_->subject(subject).label}, {"what", what}});
      };
      if (planned.protocol->shape == flow::Shape::filter) {
        const int held = graph_->held_item(i, subject);
        if (const int item = held >= 0 ? held : graph_->find(i, 1, subject); item >= 0) {
          decide(i, subject, graph_->item(item).id.hex(), true);
          note("accepted");
        }
        continue;
      }
      for (const auto& d : people)
        if (d.step == planned.name && d.subject == id && !d.accepted && people_.contains({d.step, d.item}) &&
            !people_.at({d.step, d.item})) {
          decide(i, subject, d.item, true);
          note("accepted");
          break;
        }
      if (graph_->cell_name(i, subject) == "failed" && graph_->task(i, subject) > 0)
        store_.for_task(graph_->task(i, subject), [&](const store::TaskRow& row) {
          store_.forget_task(row.key);
          touched_.push_back({i, subject});
          store_.add_event("restored", planned.name, row.label, "a failed task is tried again");
          note("tried again");
        });
    }
  }
  if (changed.empty()) throw Error(ErrorCode::bad_input, "{} is neither set aside nor failed", text);
  follow_decisions();
  return {{"changed", changed}};
}

Json Engine::Impl::approve(const std::string& text) {
  const int index = plan_.find(text);
  if (index < 0 || !step(index).trigger.approve) {
    std::string names;
    for (const auto& planned : plan_.steps)
      if (planned.trigger.approve) names += (names.empty() ? "" : ", ") + planned.name;
    throw Error(ErrorCode::bad_input, "\"{}\" is no step that waits for a person; {}", text,
                names.empty() ? "this workflow has none" : "those are: " + names);
  }
  if (!graph_->is_held(index)) throw Error(ErrorCode::bad_input, "{} is approved already", text);
  store_.put("approved:" + step(index).name, std::to_string(store::now()));
  store_.add_event("approved", step(index).name, "", "by hand");
  graph_->approve(index);
  settle();
  return {{"changed", Json::array({{{"step", step(index).name}, {"label", step(index).name}, {"what", "approved"}}})}};
}

Json Engine::Impl::set_aside(const std::string& text) {
  const auto subjects = find_subjects(text);
  if (subjects.empty()) throw Error(ErrorCode::not_found, "the project knows no item {}", text);
  Json changed = Json::array();
  for (const int subject : subjects) {
    int place = -1, item = -1;
    for (int i = 0; i < static_cast<int>(plan_.steps.size()) && place < 0; ++i)
      if (step(i).protocol->shape == flow::Shape::filter)
        if (item = std::max(graph_->find(i, 0, subject), graph_->held_item(i, subject)); item >= 0) place = i;
    for (int i = 0; i < static_cast<int>(plan_.steps.size()) && place < 0; ++i)
      if (item = graph_->find(i, 0, subject); item >= 0) place = i;
    if (place < 0) continue;
    decide(place, subject, graph_->item(item).id.hex(), false);
    changed.push_back({{"step", step(place).name}, {"label", graph_->subject(subject).label}, {"what", "set aside"}});
  }
  if (changed.empty()) throw Error(ErrorCode::bad_input, "{} is in no set", text);
  follow_decisions();
  return {{"changed", changed}};
}

}  // namespace frazil::engine
