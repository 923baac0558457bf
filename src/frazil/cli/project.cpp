#include "frazil/cli/project.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/utf8.hpp"
#include "frazil/cli/alarms.hpp"
#include "frazil/cli/project_folder.hpp"
#include "frazil/cli/settings_text.hpp"
#include "frazil/cli/status_text.hpp"
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

/// What a command takes that is about a project; `items`: what it takes beside that, for the usage.
Usage usage_of(std::string_view command, std::string_view items, std::string_view meaning) {
  return {fmt::format("frazil {}{}{} [--project DIR]   {}", command, items.empty() ? "" : " ", items, meaning),
          {project_option(), option("json", "boolean", "Print JSON")}};
}

/// A name as it can be sent: a file that is there by its whole path, and bytes that are no text as they are shown.
std::string name_of_typed(const std::string& typed) {
  std::error_code ignored;
  const bool is_path = typed.find('/') != std::string::npos && fs::exists(typed, ignored);
  const auto name = is_path ? fs::absolute(typed, ignored).lexically_normal().string() : typed;
  return is_utf8(name) ? name : printable_name(name);
}

/// Nothing after --help.
std::optional<ProjectCall> parse_call(Arguments arguments, const Usage& usage, bool takes_items) {
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return {};
  const auto project = project_of(*parsed, usage, !takes_items);
  if (takes_items && parsed->positional.empty())
    throw misuse(usage, "which item? Give its name, its file, a part of them or the first digits of its id");
  if (!takes_items && !parsed->positional.empty())
    throw misuse(usage, fmt::format("it takes no more than a project, but got {}", parsed->positional.front()));
  for (auto& item : parsed->positional) item = name_of_typed(item);
  return ProjectCall{project, parsed->positional, parsed->values.value("json", false)};
}

Json ask(const fs::path& project, std::string_view command, const std::string& item = {}) {
  return send(project, {{"command", command}, {"item", item}});
}

int simple_command(Arguments arguments, std::string_view command, std::string_view meaning) {
  const auto call = parse_call(arguments, usage_of(command, "[DIR]", meaning), false);
  if (!call) return ok;
  const auto answer = ask(call->project, command);
  const auto note = answer.value("note", "");
  std::cout << call->project.filename().string() << ": " << (note.empty() ? "done" : note) << "\n";
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

int change_command(Arguments arguments, std::string_view command, std::string_view items, std::string_view meaning) {
  const auto call = parse_call(arguments, usage_of(command, items, meaning), true);
  if (!call) return ok;
  return for_each_item(*call, [&](const std::string& item) {
    const auto answer = ask(call->project, command, item);
    for (const auto& change : answer.at("changed"))
      std::cout << fmt::format("{}: {} at {}\n", change.value("label", item), change.value("what", ""),
                               change.value("step", ""));
  });
}

}  // namespace

int status_command(Arguments arguments) {
  auto usage = usage_of("status", "[DIR]", "how far a project has come");
  usage.options.push_back(option("parameters", "boolean", "The values in force instead, and who has changed them"));
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return ok;
  const auto project = project_of(*parsed, usage, true);
  if (!parsed->positional.empty()) throw misuse(usage, "it takes no more than a project");
  const bool json = parsed->has("json");
  if (parsed->has("parameters")) {
    const auto settings = ask(project, "settings");
    std::cout << (json ? settings.dump() + "\n" : settings_text(settings.at("settings")));
    return ok;
  }
  const auto status = ask(project, "status").at("status");
  std::cout << (json ? status.dump() + "\n" : status_text(status, terminal_width(STDOUT_FILENO)));
  return ok;
}

int why_command(Arguments arguments) {
  const auto call = parse_call(arguments, usage_of("why", "ITEM…", "why items are where they are"), true);
  if (!call) return ok;
  return for_each_item(*call, [&](const std::string& text) {
    const auto answer = ask(call->project, "why", text);
    if (call->json) {
      std::cout << answer.dump() << "\n";
      return;
    }
    for (const auto& item : answer.at("items")) std::cout << why_text(item);
    if (answer.contains("note")) std::cout << answer["note"].get<std::string>() << "\n";
    for (const auto& file : answer.at("files"))
      std::cout << fmt::format("{}: {} at {}: {}\n", file.value("path", ""), file.value("state", ""),
                               file.value("step", ""), file.value("reason", ""));
  });
}

int restore_command(Arguments arguments) {
  const Usage usage{
      "frazil restore ITEM… [--project DIR]   takes items back that were set aside, tries failed ones again\n"
      "frazil restore --failed|--all-of REASON [--project DIR]   the same with many",
      {project_option(), option("failed", "boolean", "All that have failed: they are tried again"),
       option("all_of", "string", "All that failed or were set aside for this reason: a part of the message or rule"),
       option("reason", "string", "Why, in your words"),
       option("actor", "string", "Who restores (default: the login name)")}};
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return ok;
  const bool in_bulk = parsed->has("failed") || parsed->has("all_of");
  if (parsed->positional.empty() != in_bulk)
    throw misuse(usage,
                 in_bulk ? "either items or many at once" : "which item? Give its name, its file or a part of them");
  ProjectCall call{project_of(*parsed, usage, false), {}, false};
  for (const auto& item : parsed->positional) call.items.push_back(name_of_typed(item));
  if (in_bulk) call.items = {""};
  return for_each_item(call, [&](const std::string& item) {
    Json request = {{"command", "restore"}, {"item", item}, {"reason", parsed->text("reason")}};
    if (parsed->has("failed")) request["failed"] = true;
    if (parsed->has("all_of")) request["all_of"] = parsed->text("all_of");
    if (parsed->has("actor")) request["actor"] = parsed->text("actor");
    const auto answer = send(call.project, std::move(request));
    for (const auto& change : answer.at("changed"))
      std::cout << fmt::format("{}: {} at {}\n", change.value("label", item), change.value("what", ""),
                               change.value("step", ""));
  });
}
int set_aside_command(Arguments arguments) {
  return change_command(arguments, "set-aside", "ITEM…", "sets items aside by hand");
}
int approve_command(Arguments arguments) {
  return change_command(arguments, "approve", "STEP…", "lets steps start that wait for a person");
}
int cancel_command(Arguments arguments) {
  return change_command(arguments, "cancel", "STEP|NUMBER…",
                        "ends tasks that frazil status lists, by their numbers, or a step that iterates");
}

int answer_command(Arguments arguments) {
  const Usage usage{
      "frazil answer QUESTION [FILE…] [--project DIR]   answers a question that frazil status lists: by its number, or "
      "by the name of its step or item",
      {project_option(), option("accept", "boolean", "Accept it, or let it start"),
       option("set_aside", "boolean", "Set it aside"), option("reason", "string", "Why, in your words"),
       option("actor", "string", "Who answers (default: the login name)")}};
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return ok;
  if (parsed->positional.empty()) throw misuse(usage, "which question? frazil status lists them");
  const auto project = project_of(*parsed, usage, false);
  Json request = {{"command", "answer"}, {"item", parsed->positional.front()}, {"reason", parsed->text("reason")}};
  request["files"] = Json::array();
  for (std::size_t i = 1; i < parsed->positional.size(); ++i)
    request["files"].push_back(fs::absolute(parsed->positional[i]).lexically_normal().string());
  if (parsed->has("accept") || parsed->has("set_aside")) request["accept"] = parsed->has("accept");
  if (parsed->has("actor")) request["actor"] = parsed->text("actor");
  const auto answer = send(project, std::move(request));
  for (const auto& change : answer.at("changed"))
    std::cout << fmt::format("{}: {} at {}\n", change.value("label", ""), change.value("what", ""),
                             change.value("step", ""));
  return ok;
}

namespace {

/// A command that takes key=value; nothing after --help.
std::optional<ProjectCall> parse_settings(Arguments arguments, std::string_view command, std::string_view meaning) {
  const auto usage = usage_of(command, "KEY=VALUE…", meaning);
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return {};
  if (parsed->positional.empty())
    throw misuse(
        usage,
        "which value? A parameter of the workflow, or STEP.PARAMETER; frazil status --parameters lists those in force");
  const auto project = project_of(*parsed, usage, false);
  return ProjectCall{project, parsed->positional, parsed->values.value("json", false)};
}

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
  const auto call = parse_settings(arguments, "what-if", "what other limits would keep; nothing is changed");
  if (!call) return ok;
  const auto answer = send(call->project, {{"command", "what-if"}, {"values", settings_of(*call, "what-if")}});
  if (call->json) {
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
  const auto call =
      parse_settings(arguments, "set", "changes parameters, of the template or of one step: STEP.NAME=VALUE");
  if (!call) return ok;
  const auto answer = send(call->project, {{"command", "set"}, {"values", settings_of(*call, "set")}});
  std::cout << changes_text(answer);
  return ok;
}

int pause_command(Arguments arguments) {
  return simple_command(arguments, "pause", "starts no more tasks; those at work end");
}
int resume_command(Arguments arguments) { return simple_command(arguments, "resume", "goes on after a pause"); }
int close_command(Arguments arguments) {
  return simple_command(arguments, "close", "says that no more files will come");
}

int stop_command(Arguments arguments) {
  const auto call = parse_call(arguments, usage_of("stop", "[DIR]", "ends the engine of a project in order"), false);
  if (!call) return ok;
  const bool ran = engine::lease_holder(call->project).has_value();
  if (ran) {
    (void)ask(call->project, "stop");
    const engine::Lease free_again(call->project, 60);
  }
  std::cout << call->project.filename().string()
            << (ran ? ": stopped; frazil run --project goes on where it was\n" : ": no engine runs\n");
  return ok;
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
  const Usage usage{
      "frazil report [DIR] [-o report.html]   writes the report of a project",
      {project_option(), option("output", "string", "File to write (-o); default: its report/report.html")}};
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return ok;
  const auto project = project_of(*parsed, usage, true);
  const fs::path kept = project / "report" / "report.html";
  const fs::path page = fs::absolute(parsed->text("output", kept.string()));
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
  const Usage usage{
      "frazil workflow check|show|graph FILE|TEMPLATE [--set key=value]… [-o graph.svg]   tells every "
      "mistake of a workflow, lists its steps, or draws them",
      {option("set", "string", "key=value: a parameter of the workflow; may be repeated"),
       option("output", "string", "graph: SVG file to write (-o); default: standard output")},
      {"set"}};
  const auto found = parse_or_help(arguments, usage);
  if (!found) return ok;
  const auto& parsed = *found;
  const auto verb = parsed.positional.empty() ? std::string() : parsed.positional[0];
  if (parsed.positional.size() != 2 || (verb != "check" && verb != "show" && verb != "graph"))
    throw misuse(usage, "what is to be done with which workflow?");
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
