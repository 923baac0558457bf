#include "frazil/cli/project.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/cli/alarms.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/settings_text.hpp"
#include "frazil/cli/templates.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/engine/command.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/snapshot.hpp"
#include "frazil/flow/draw.hpp"
#include "frazil/plugin/installed.hpp"
#include "frazil/report/report.hpp"

namespace frazil::cli {

Json send(const std::filesystem::path& project, Json request) {
  if (!request.contains("actor")) request["actor"] = engine::login_name();
  const auto answer = engine::ask(project, plugin::registry(), request);
  if (!answer.value("ok", false))
    throw Error(error_code_from(answer.value("code", "bug")), "{}", answer.value("error", "the engine gave no reason"));
  return answer;
}

namespace {

namespace fs = std::filesystem;

struct ProjectCall {
  fs::path project;
  std::vector<std::string> items;
  bool json = false;
};

ProjectCall parse_call(Arguments arguments, std::string_view command, bool takes_items) {
  const std::vector<FieldInfo> options = {option("project", "string", "Folder of the project"),
                                          option("json", "boolean", "Print JSON")};
  const auto parsed = parse(arguments, options);
  if (!parsed.has("project"))
    throw Error(ErrorCode::bad_input, "frazil {}{} --project DIR: which project?", command,
                takes_items ? " ITEM…" : "");
  if (takes_items && parsed.positional.empty() && (command == "set" || command == "what-if"))
    throw Error(
        ErrorCode::bad_input,
        "frazil {} KEY=VALUE… --project DIR: which value? A parameter of the workflow, or STEP.PARAMETER; frazil "
        "status --parameters lists those in force",
        command);
  if (takes_items && parsed.positional.empty())
    throw Error(ErrorCode::bad_input,
                "frazil {} ITEM… --project DIR: which item? A name, a file or the first digits of an id", command);
  if (!takes_items && !parsed.positional.empty())
    throw Error(ErrorCode::bad_input, "frazil {} --project DIR takes no item, but got {}", command,
                parsed.positional.front());
  return {fs::absolute(parsed.text("project")), parsed.positional, parsed.values.value("json", false)};
}

Json ask(const fs::path& project, std::string_view command, const std::string& item = {}) {
  return send(project, {{"command", command}, {"item", item}});
}

int simple_command(Arguments arguments, std::string_view command) {
  const auto call = parse_call(arguments, command, false);
  const auto answer = ask(call.project, command);
  if (answer.contains("note")) std::cerr << answer["note"].get<std::string>() << "\n";
  return ok;
}

/// Goes through all items although some are unknown.
int for_each_item(const ProjectCall& call, const std::function<void(const std::string&)>& act) {
  int result = ok;
  for (const auto& item : call.items) {
    try {
      act(item);
    } catch (const Error& error) {
      if (call.items.size() == 1) throw;
      log::error("{}", error.what());
      result = some_failed;
    }
  }
  return result;
}

int change_command(Arguments arguments, std::string_view command) {
  const auto call = parse_call(arguments, command, true);
  return for_each_item(call, [&](const std::string& item) {
    const auto answer = ask(call.project, command, item);
    for (const auto& change : answer.at("changed"))
      std::cout << fmt::format("{}: {} at {}\n", change.value("label", item), change.value("what", ""),
                               change.value("step", ""));
  });
}

/// ", 35 %" where it is known.
std::string percent(const Json& of) {
  const auto found = of.find("progress");
  return found != of.end() && found->is_number() ? fmt::format(", {:.0f} %", 100 * found->get<double>()) : "";
}

void print_status(const Json& status) {
  for (const auto& alarm : status.value("alarms", Json::array())) std::cout << alarm_text(alarm);
  auto line = fmt::format("{}: {}, {} items found, {} behind, {} failed", status.value("project", ""),
                          status.value("state", ""), status.value("found", 0), status.value("behind", 0),
                          status.value("failed", 0));
  const std::pair<const char*, const char*> others[] = {{"broken", "broken"},
                                                        {"growing", "incomplete"},
                                                        {"duplicates", "duplicates"},
                                                        {"excluded", "left out"},
                                                        {"replaced", "replaced"}};
  for (const auto& [key, words] : others)
    if (const int count = status.value(key, 0); count > 0) line += fmt::format(", {} {}", count, words);
  std::cout << line << "\n";
  if (const auto note = status.value("note", ""); !note.empty()) std::cout << note << "\n";
  std::cout << fmt::format("{:18} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}  {}\n", "step", "waiting", "queued",
                           "running", "done", "failed", "set aside", "versions", "title");
  for (const auto& step : status.at("steps"))
    std::cout << fmt::format("{:18} {:8} {:8} {:8} {:8} {:8} {:9} {:8}  {}{}\n", step.value("name", ""),
                             step.value("waiting", 0), step.value("queued", 0), step.value("running", 0),
                             step.value("done", 0), step.value("failed", 0), step.value("set_aside", 0),
                             step.value("versions", 0), step.value("title", ""),
                             step.value("needs_approval", false) ? ": waits for a person: frazil approve"
                             : step.value("stopped", false)      ? ": has enough"
                             : step.value("closed", false)       ? ": closed"
                                                                 : "");
  for (const auto& step : status.at("steps"))
    if (const auto doing = step.value("doing", ""); !doing.empty())
      std::cout << fmt::format("{}: {}{}\n", step.value("name", ""), doing, percent(step));
  for (const auto& question : status.value("questions", Json::array()))
    std::cout << fmt::format("question {}: {}\n", question.value("question", 0), question.value("text", ""));
  for (const auto& task : status.value("tasks", Json::array()))
    std::cout << fmt::format("task {} {}: for {:.0f} s{}{}{}\n", task.value("task", 0), task.value("label", ""),
                             task.value("seconds", 0.0), task.contains("doing") ? ", " : "", task.value("doing", ""),
                             task.value("paused", false) ? ", paused for live tasks" : percent(task));
  for (const auto& step : status.at("steps"))
    if (const auto why = step.value("note", ""); !why.empty())
      std::cout << step.value("name", "") << ": " << why << "\n";
  if (const auto latency = status.value("latency", Json::object()); latency.value("items", 0) > 0)
    std::cout << fmt::format(
        "half of the items were through within {:.1f} s of their arrival, 95 % within {:.1f} s; steps start {:.0f} ms "
        "after their inputs (99 %)\n",
        latency.value("p50_s", 0.0), latency.value("p95_s", 0.0), latency.value("start_p99_ms", 0.0));
}

double number(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_number() ? json[key].get<double>() : 0;
}

void print_item(const Json& item) {
  std::cout << fmt::format("{}: {}\n", item.value("label", ""), item.value("outcome", ""));
  for (const auto& entry : item.at("chain")) {
    std::string line = fmt::format("  {:18} {}", entry.value("step", ""), entry.value("state", ""));
    if (entry.contains("decision")) {
      const auto& d = entry["decision"];
      line += fmt::format(": {} by {} = {:g}, limit {:g}{}", d.value("accepted", true) ? "accepted" : "set aside",
                          d.value("rule", ""), number(d, "value"), number(d, "limit"),
                          d.value("reason", "").empty() ? "" : " (" + d.value("reason", "") + ")");
    }
    if (entry.contains("person")) {
      const auto& person = entry["person"];
      const auto name = person.value("actor", "");
      line += fmt::format("; {} by {}", person.value("accepted", true) ? "restored" : "set aside",
                          name.empty() ? "a person" : name);
    }
    if (entry.contains("note")) line += ": " + entry["note"].get<std::string>();
    if (entry.contains("error")) line += ": " + entry["error"].value("message", "");
    std::cout << line << "\n";
  }
}

}  // namespace

int status_command(Arguments arguments) {
  std::vector<std::string> rest(arguments.begin(), arguments.end());
  const bool parameters = std::erase(rest, "--parameters") > 0;
  const auto call = parse_call(rest, "status", false);
  if (parameters) {
    const auto settings = ask(call.project, "settings");
    std::cout << (call.json ? settings.dump() + "\n" : settings_text(settings.at("settings")));
    return ok;
  }
  const auto status = ask(call.project, "status").at("status");
  if (call.json)
    std::cout << status.dump() << "\n";
  else
    print_status(status);
  return ok;
}

int why_command(Arguments arguments) {
  const auto call = parse_call(arguments, "why", true);
  return for_each_item(call, [&](const std::string& text) {
    const auto answer = ask(call.project, "why", text);
    if (call.json) {
      std::cout << answer.dump() << "\n";
      return;
    }
    for (const auto& item : answer.at("items")) print_item(item);
    if (answer.contains("note")) std::cout << answer["note"].get<std::string>() << "\n";
    for (const auto& file : answer.at("files"))
      std::cout << fmt::format("{}: {} at {}: {}\n", file.value("path", ""), file.value("state", ""),
                               file.value("step", ""), file.value("reason", ""));
  });
}

int restore_command(Arguments arguments) {
  const std::vector<FieldInfo> options = {
      option("project", "string", "Folder of the project"),
      option("failed", "boolean", "All that have failed: they are tried again"),
      option("all_of", "string", "All that failed or were set aside for this reason: a part of the message or rule"),
      option("reason", "string", "Why, in your words"),
      option("actor", "string", "Who restores (default: the login name)"),
      option("help", "boolean", "This text")};
  const auto parsed = parse(arguments, options);
  const bool in_bulk = parsed.has("failed") || parsed.has("all_of");
  if (parsed.has("help") || !parsed.has("project") || parsed.positional.empty() != in_bulk) {
    (parsed.has("help") ? std::cout : std::cerr)
        << "frazil restore ITEM… --project DIR   takes items back that were set aside, tries failed ones again\n"
           "frazil restore --failed|--all-of REASON --project DIR   the same with many\n"
        << help_text(options, true);
    return parsed.has("help") ? ok : bad_usage;
  }
  ProjectCall call{fs::absolute(parsed.text("project")), parsed.positional, false};
  if (in_bulk) call.items = {""};
  return for_each_item(call, [&](const std::string& item) {
    Json request = {{"command", "restore"}, {"item", item}, {"reason", parsed.text("reason")}};
    if (parsed.has("failed")) request["failed"] = true;
    if (parsed.has("all_of")) request["all_of"] = parsed.text("all_of");
    if (parsed.has("actor")) request["actor"] = parsed.text("actor");
    const auto answer = send(call.project, std::move(request));
    for (const auto& change : answer.at("changed"))
      std::cout << fmt::format("{}: {} at {}\n", change.value("label", item), change.value("what", ""),
                               change.value("step", ""));
  });
}
int set_aside_command(Arguments arguments) { return change_command(arguments, "set-aside"); }
int approve_command(Arguments arguments) { return change_command(arguments, "approve"); }
int cancel_command(Arguments arguments) { return change_command(arguments, "cancel"); }

int answer_command(Arguments arguments) {
  const std::vector<FieldInfo> options = {option("project", "string", "Folder of the project"),
                                          option("accept", "boolean", "Accept it, or let it start"),
                                          option("set_aside", "boolean", "Set it aside"),
                                          option("reason", "string", "Why, in your words"),
                                          option("actor", "string", "Who answers (default: the login name)"),
                                          option("help", "boolean", "This text")};
  const auto parsed = parse(arguments, options);
  if (parsed.has("help") || !parsed.has("project") || parsed.positional.empty()) {
    (parsed.has("help") ? std::cout : std::cerr)
        << "frazil answer QUESTION [FILE…] --project DIR   answers a question that frazil status lists: by its number, "
           "or by the name of its step or item\n"
        << help_text(options, true);
    return parsed.has("help") ? ok : bad_usage;
  }
  Json request = {{"command", "answer"}, {"item", parsed.positional.front()}, {"reason", parsed.text("reason")}};
  request["files"] = Json::array();
  for (std::size_t i = 1; i < parsed.positional.size(); ++i)
    request["files"].push_back(fs::absolute(parsed.positional[i]).lexically_normal().string());
  if (parsed.has("accept") || parsed.has("set_aside")) request["accept"] = parsed.has("accept");
  if (parsed.has("actor")) request["actor"] = parsed.text("actor");
  const auto answer = send(fs::absolute(parsed.text("project")), std::move(request));
  for (const auto& change : answer.at("changed"))
    std::cout << fmt::format("{}: {} at {}\n", change.value("label", ""), change.value("what", ""),
                             change.value("step", ""));
  return ok;
}

namespace {

/// key=value… as {"key": "value"}.
Json settings_of(const ProjectCall& call, std::string_view command) {
  Json settings = Json::object();
  for (const auto& text : call.items) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(ErrorCode::bad_input, "frazil {} KEY=VALUE… --project DIR: \"{}\" is not key=value", command, text);
    settings[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return settings;
}

}  // namespace

int what_if_command(Arguments arguments) {
  const auto call = parse_call(arguments, "what-if", true);
  const auto answer = send(call.project, {{"command", "what-if"}, {"values", settings_of(call, "what-if")}});
  if (call.json) {
    std::cout << answer.dump() << "\n";
    return ok;
  }
  std::cout << changes_text(answer);
  for (const auto& step : answer.at("steps"))
    std::cout << fmt::format("{:18} would keep {} of {} (now {}): {} more, {} fewer\n", step.value("step", ""),
                             step.value("kept_then", 0), step.value("of", 0), step.value("kept_now", 0),
                             step.value("newly_kept", 0), step.value("newly_set_aside", 0));
  const auto& items = answer.at("items");
  std::cout << fmt::format(
      "{:18} would keep {} of {} (now {}){}\n", "all together", items.value("kept_then", 0), items.value("of", 0),
      items.value("kept_now", 0),
      items.value("to_compute", 0) > 0
          ? fmt::format("; {} would go further than ever before, what later steps say of them is not known yet",
                        items.value("to_compute", 0))
          : "");
  for (const auto& step : answer.at("computed_again"))
    std::cout << fmt::format("{:18} would be computed again\n", step.get<std::string>());
  return ok;
}

int set_command(Arguments arguments) {
  const auto call = parse_call(arguments, "set", true);
  const auto answer = send(call.project, {{"command", "set"}, {"values", settings_of(call, "set")}});
  std::cout << changes_text(answer);
  return ok;
}

int pause_command(Arguments arguments) { return simple_command(arguments, "pause"); }
int resume_command(Arguments arguments) { return simple_command(arguments, "resume"); }
int close_command(Arguments arguments) { return simple_command(arguments, "close"); }

int stop_command(Arguments arguments) {
  const int result = simple_command(arguments, "stop");
  const auto call = parse_call(arguments, "stop", false);
  const engine::Lease free_again(call.project, 60);
  return result;
}

namespace {

/// The engine at work keeps a page; what lies beside it comes along.
void copy_report(const fs::path& kept, const fs::path& page) {
  if (!fs::exists(kept))
    throw Error(ErrorCode::not_found, "{}: the engine has not written its first report yet", kept.string());
  if (page == kept) return;
  write_text(page, read_text(kept));
  const auto details = kept.parent_path() / "report_details";
  if (fs::exists(details))
    fs::copy(details, page.parent_path() / "report_details",
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
}

}  // namespace

int report_command(Arguments arguments) {
  const std::vector<FieldInfo> options = {option("project", "string", "Folder of the project"),
                                          option("output", "string", "File to write, e.g. report.html")};
  const auto parsed = parse(arguments, options);
  if (!parsed.has("project"))
    throw Error(ErrorCode::bad_input, "frazil report --project DIR -o report.html: which project?");
  const fs::path project = fs::absolute(parsed.text("project"));
  const fs::path kept = project / "report" / "report.html";
  const fs::path page = fs::absolute(parsed.text("output", kept.string()));
  if (page.has_parent_path()) make_folders(page.parent_path());
  if (engine::lease_holder(project)) {
    copy_report(kept, page);
  } else {
    engine::Options reading;
    reading.project = project;
    reading.read_only = true;
    engine::Engine engine(std::move(reading), plugin::registry());
    report::Writer(project, version()).write(engine.reading(), page);
  }
  std::cout << page.string() << "\n";
  return ok;
}

int workflow_command(Arguments arguments) {
  const std::vector<FieldInfo> options = {
      option("set", "string", "key=value: a parameter of the workflow; may be repeated"),
      option("output", "string", "graph: SVG file to write; default: standard output")};
  const auto parsed = parse(arguments, options, {"set"});
  const auto verb = parsed.positional.empty() ? std::string() : parsed.positional[0];
  if (parsed.positional.size() != 2 || (verb != "check" && verb != "show" && verb != "graph"))
    throw Error(ErrorCode::bad_input, "frazil workflow check|show|graph FILE [--set key=value]… [-o graph.svg]");
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(template_text(parsed.positional[1]), problems);
  std::vector<std::pair<std::string, std::string>> settings;
  if (parsed.repeated.contains("set"))
    for (const auto& text : parsed.repeated.at("set")) {
      const auto equals = text.find('=');
      settings.emplace_back(text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1));
    }
  const auto values = flow::parse_values(workflow, plugin::registry(), settings, problems);
  const auto plan = flow::make_plan(workflow, plugin::registry(), values, problems, settings.empty());
  for (const auto& problem : problems) std::cerr << problem.place << ": " << problem.text << "\n";
  if (!problems.empty()) return bad_usage;
  if (verb == "graph") {
    if (parsed.has("output"))
      write_text(parsed.text("output"), flow::draw(plan));
    else
      std::cout << flow::draw(plan);
    return ok;
  }
  if (verb == "check") {
    std::cout << fmt::format("{}: {} steps{}, in order\n", workflow.name, plan.steps.size(),
                             plan.monitors.empty() ? "" : fmt::format(" and {} alarm rules", plan.monitors.size()));
    return ok;
  }
  for (const auto& step : plan.steps) {
    std::string inputs;
    for (const auto& input : step.inputs)
      for (const auto& from : input.from) {
        const auto& source = plan.steps[static_cast<std::size_t>(from.step)];
        inputs += fmt::format(" {}<{}.{}{}", input.port, source.name,
                              source.protocol->outputs[static_cast<std::size_t>(from.port)].name,
                              input.broadcast ? " (last)" : "");
      }
    std::cout << fmt::format("{:18} {:20}{}\n", step.name, step.protocol->name, inputs);
  }
  for (const auto& monitor : plan.monitors) {
    std::string limit;
    if (monitor.above) limit += fmt::format(" above {:g}", *monitor.above);
    if (monitor.below) limit += fmt::format("{} below {:g}", monitor.above ? " or" : "", *monitor.below);
    const auto& step = plan.steps[static_cast<std::size_t>(monitor.step)];
    std::cout << fmt::format("{:18} alarm ({})  {}.{} {}{}{}{}, {} of {}\n", monitor.name, monitor.kind, step.name,
                             step.protocol->outputs[static_cast<std::size_t>(monitor.port)].name, monitor.field, limit,
                             monitor.unit.empty() ? "" : " ", monitor.unit, monitor.count, monitor.in_last);
  }
  return ok;
}

}  // namespace frazil::cli
