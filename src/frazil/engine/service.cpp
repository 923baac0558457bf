#include "frazil/engine/service.hpp"

#include <algorithm>

#include "frazil/engine/bulk.hpp"
#include "frazil/engine/names.hpp"
#include "frazil/engine/pages.hpp"
#include "frazil/engine/requests.hpp"
#include "frazil/engine/settings.hpp"
#include "frazil/engine/snapshot.hpp"

namespace frazil::engine {
namespace {

/// Reads a request; what is not given keeps its default, what is not known is left alone.
template <class R>
R read_request(const Json& json) {
  auto request = record_from_json<R>(json);
  if constexpr (R::info.takes_values) {
    if (const auto values = json.find("values"); values != json.end()) {
      if (!values->is_object()) throw Error(ErrorCode::bad_input, "values must be an object: {{\"name\": value}}");
      request.values = *values;
    }
  }
  return request;
}

std::string name_or_login(const std::string& actor) { return actor.empty() ? login_name() : actor; }

Json refusal(const Error& error) { return {{"ok", false}, {"error", error.what()}, {"code", to_string(error.code())}}; }

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Command plain(Command::Kind kind, const std::string& actor) {
  Command command;
  command.kind = kind;
  command.actor = name_or_login(actor);
  return command;
}

}  // namespace

/// One request, with its type erased.
struct Service::Entry {
  RequestInfo info;
  std::vector<FieldInfo> fields;
  std::function<Json(Service&, const Json&)> answer;

  template <class R, class F>
  static Entry of(F answer) {
    return {R::info, frazil::describe<R>(),
            [answer](Service& service, const Json& json) { return answer(service, read_request<R>(json)); }};
  }
};

const std::vector<Service::Entry>& Service::entries() {
  using Kind = Command::Kind;
  static const std::vector<Entry> list = {
      Entry::of<StatusRequest>([](Service& s, const StatusRequest&) {
        return Json{{"status", to_json(s.reading().state->live.status)}};
      }),
      Entry::of<SettingsRequest>([](Service& s, const SettingsRequest&) {
        return Json{{"settings", settings_of(*s.reading().state->head)}};
      }),
      Entry::of<SnapshotRequest>([](Service& s, const SnapshotRequest&) {
        return Json{{"snapshot", snapshot_of(s.reading())}};
      }),
      Entry::of<WhyRequest>([](Service& s, const WhyRequest& r) { return why(s.reading(), r.item); }),
      Entry::of<ItemRequest>([](Service& s, const ItemRequest& r) { return item_whole(s.reading(), r.item); }),
      Entry::of<ItemsRequest>([](Service& s, const ItemsRequest& r) {
        return items_page(s.reading(), {r.step, r.port, r.where, r.sort}, r.from, r.count, r.columns);
      }),
      Entry::of<SeriesRequest>([](Service& s, const SeriesRequest& r) {
        return series(s.reading(), {r.step, r.port, r.where, r.sort}, r.columns);
      }),
      Entry::of<EventsRequest>(
          [](Service& s, const EventsRequest& r) { return events_since(s.reading(), r.since, r.count, r.time); }),
      Entry::of<AlarmsRequest>(
          [](Service& s, const AlarmsRequest& r) { return alarms_since(s.reading(), r.since, r.count); }),
      Entry::of<AcknowledgeRequest>([](Service& s, const AcknowledgeRequest& r) {
        auto command = plain(Kind::acknowledge, r.actor);
        command.step = r.item;
        command.reason = r.reason;
        return s.doors_.act(command);
      }),
      Entry::of<WhatIfRequest>([](Service& s, const WhatIfRequest& r) { return s.ask_what_if(r.values); }),
      Entry::of<RestoreRequest>([](Service& s, const RestoreRequest& r) {
        auto command = plain(Kind::restore, r.actor);
        command.reason = r.reason;
        if (!r.failed && r.all_of.empty()) return s.decide({r.item}, std::move(command));
        command.subjects = subjects_for(s.reading(), r.failed, r.all_of);
        return s.doors_.act(command);
      }),
      Entry::of<SetAsideRequest>([](Service& s, const SetAsideRequest& r) {
        auto command = plain(Kind::set_aside, r.actor);
        command.reason = r.reason;
        return s.decide({r.item}, std::move(command));
      }),
      Entry::of<DecideRequest>([](Service& s, const DecideRequest& r) {
        auto command = plain(r.accept ? Kind::restore : Kind::set_aside, r.actor);
        command.reason = r.reason;
        return s.decide(r.items, std::move(command));
      }),
      Entry::of<SetRequest>([](Service& s, const SetRequest& r) {
        auto command = plain(Kind::set, r.actor);
        return s.set(r.values, std::move(command));
      }),
      Entry::of<ApproveRequest>([](Service& s, const ApproveRequest& r) {
        auto command = plain(Kind::approve, r.actor);
        command.step = r.item;
        return s.doors_.act(command);
      }),
      Entry::of<AnswerRequest>([](Service& s, const AnswerRequest& r) {
        auto command = plain(Kind::answer, r.actor);
        command.step = r.item;
        command.files = r.files;
        command.accept = r.accept;
        command.reason = r.reason;
        return s.doors_.act(command);
      }),
      Entry::of<CancelRequest>([](Service& s, const CancelRequest& r) {
        auto command = plain(Kind::cancel, r.actor);
        command.step = r.item;
        return s.doors_.act(command);
      }),
      Entry::of<PlainRequest<Pause>>(
          [](Service& s, const PlainRequest<Pause>& r) { return s.doors_.act(plain(Kind::pause, r.actor)); }),
      Entry::of<PlainRequest<Resume>>(
          [](Service& s, const PlainRequest<Resume>& r) { return s.doors_.act(plain(Kind::resume, r.actor)); }),
      Entry::of<PlainRequest<Close>>(
          [](Service& s, const PlainRequest<Close>& r) { return s.doors_.act(plain(Kind::close, r.actor)); }),
      Entry::of<PlainRequest<Stop>>(
          [](Service& s, const PlainRequest<Stop>& r) { return s.doors_.act(plain(Kind::stop, r.actor)); }),
  };
  return list;
}

Service::Service(Doors doors, std::unique_ptr<store::Reader> reader, const flow::Registry& registry)
    : doors_(std::move(doors)), reader_(std::move(reader)), registry_(registry) {}

Reading Service::reading() {
  auto state = doors_.state();
  if (state == nullptr) throw Error(ErrorCode::resource, "the project is being opened: ask again in a moment");
  return {std::move(state), *reader_};
}

bool Service::writes(std::string_view command) {
  for (const auto& entry : entries())
    if (entry.info.name == command) return entry.info.writes;
  return true;
}

Json Service::answer(const Json& request) {
  auto given = request;
  for (auto it = given.begin(); it != given.end();) it = it->is_null() ? given.erase(it) : std::next(it);
  const auto command = given.value("command", Json());
  for (const auto& entry : entries())
    if (command == entry.info.name) {
      Json answer = {{"ok", true}};
      answer.update(entry.answer(*this, given));
      return answer;
    }
  throw Error(ErrorCode::bad_input, "\"{}\" is not a command of the engine",
              command.is_string() ? command.get<std::string>() : command.dump());
}

Json Service::serve(const Json& request) {
  try {
    return answer(request);
  } catch (const Error& error) {
    return refusal(error);
  } catch (const std::exception& error) {
    return refusal(Error(ErrorCode::bug, "{}", error.what()));
  }
}

void Service::serve(const Json& request, const std::function<void(std::string_view piece)>& write) {
  if (request.value("command", Json()) != SnapshotRequest::info.name) {
    write(line_of(serve(request)) + "\n");
    return;
  }
  std::optional<Reading> now;
  try {
    now.emplace(reading());
  } catch (const Error& error) {
    write(line_of(refusal(error)) + "\n");
    return;
  }
  write("{\"ok\":true,\"snapshot\":");
  write_snapshot(*now, write);
  write("}\n");
}

/// All names are resolved before anything is changed.
Json Service::decide(const std::vector<std::string>& names, Command command) {
  const auto now = reading();
  if (names.empty())
    throw Error(ErrorCode::bad_input, "which items? Give their names, files or the first digits of ids");
  for (const auto& name : names) {
    const auto& id = now.state->subject(the_one(*now.state, now.reader, name)).id;
    if (std::find(command.subjects.begin(), command.subjects.end(), id) == command.subjects.end())
      command.subjects.push_back(id);
  }
  return doors_.act(command);
}

Changed Service::changed_by(const Reading& now, const Json& values) const {
  const auto& head = *now.state->head;
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(head.workflow, problems);
  return change(workflow, head.plan, head.values, values, registry_, head.files);
}

Json Service::ask_what_if(const Json& values) {
  const auto now = reading();
  const auto changed = changed_by(now, values);
  auto answer = what_if(now, changed, judge_);
  answer["values"] = to_json(changed.changes);
  return answer;
}

/// What filters will say is found out here, in the thread of whoever asks: the engine has only to write it down.
Json Service::set(const Json& values, Command command) {
  const auto now = reading();
  command.values = values;
  command.foretold = std::make_shared<const Foretold>(foretell(now, changed_by(now, values), judge_));
  return doors_.act(command);
}

Json Service::describe() {
  Json commands = Json::object();
  for (const auto& entry : entries()) {
    Json takes = Json::object(), answer = Json::array();
    bool takes_item = false;
    for (const auto& info : entry.fields) {
      takes_item = takes_item || info.name == "item";
      takes[info.name] = {{"type", info.type}, {"help", info.help}, {"default", info.default_value}};
      if (info.low) takes[info.name]["range"] = {*info.low, *info.high};
    }
    for (std::size_t at = 0; at < entry.info.answer.size();) {
      const auto end = std::min(entry.info.answer.find(' ', at), entry.info.answer.size());
      answer.push_back(entry.info.answer.substr(at, end - at));
      at = end + 1;
    }
    commands[std::string(entry.info.name)] = {{"help", entry.info.help},
                                              {"changes", entry.info.writes},
                                              {"takes", takes},
                                              {"takes_item", takes_item},
                                              {"takes_values", entry.info.takes_values},
                                              {"answer", answer}};
  }
  return {{"title", "Requests to the engine of a project"},
          {"transport",
           "A Unix stream socket, named in PROJECT/engine.lock as \"socket\" while an engine runs. One request and one "
           "answer a line, both JSON objects. A request has up to 1 MiB."},
          {"request",
           {{"command", "one of the names below"},
            {"values", "parameters of the workflow, or step.parameter, where the command takes them"}}},
          {"refusal",
           {{"ok", false},
            {"error", "one sentence"},
            {"code", "bad_input, not_found, io, resource, external, corrupt, unsupported, cancelled or bug"}}},
          {"commands", commands}};
}

}  // namespace frazil::engine
