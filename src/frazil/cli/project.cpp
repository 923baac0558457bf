#include "frazil/cli/project.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/templates.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/snapshot.hpp"
#include "frazil/plugin/installed.hpp"
#include "frazil/report/report.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

struct Call {
  fs::path project;
  std::vector<std::string> items;
  bool json = false;
};

Call parse_call(Arguments arguments, std::string_view command, bool takes_items) {
  const std::vector<FieldInfo> options = {option("project", "string", "Folder of the project"), option("json", "boolean", "Print JSON")};
  const auto parsed = parse(arguments, options);
  if (!parsed.has("project")) throw Error(ErrorCode::bad_input, "frazil {}{} --project DIR: which project?", command, takes_items ? " ITEM…" : "");
  if (takes_items && parsed.positional.empty()) throw Error(ErrorCode::bad_input, "frazil {} ITEM… --project DIR: which item? A name, a file or the first digits of an id", command);
  if (!takes_items && !parsed.positional.empty()) throw Error(ErrorCode::bad_input, "frazil {} --project DIR takes no item, but got {}", command, parsed.positional.front());
  return {fs::absolute(parsed.text("project")), parsed.positional, parsed.values.value("json", false)};
}

/// @throws Error as the engine answers
Json ask(const fs::path& project, std::string_view command, const std::string& item = {}) {
  const auto answer = engine::ask(project, plugin::registry(), {{"command", command}, {"item", item}});
  if (!answer.value("ok", false)) throw Error(error_code_from(answer.value("code", "bug")), "{}", answer.value("error", "the engine gave no reason"));
  return answer;
}

int simple_command(Arguments arguments, std::string_view command) {
  const auto call = parse_call(arguments, command, false);
  const auto answer = ask(call.project, command);
  if (answer.contains("note")) std::cerr << answer["note"].get<std::string>() << "\n";
  return ok;
}

/// Goes through all items although some are unknown.
int for_each_item(const Call& call, const std::function<void(const std::string&)>& act) {
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
    for (const auto& change : answer.at("changed")) std::cout << fmt::format("{}: {} at {}\n", change.value("label", item), change.value("what", ""), change.value("step", ""));
  });
}

void print_status(const Json& status) {
  std::cout << fmt::format("{}: {}, {} items found, {} behind, {} failed, {} broken, {} incomplete, {} duplicates\n", status.value("project", ""), status.value("state", ""), status.value("found", 0),
                           status.value("behind", 0), status.value("failed", 0), status.value("broken", 0), status.value("growing", 0), status.value("duplicates", 0));
  if (const auto note = status.value("note", ""); !note.empty()) std::cout << note << "\n";
  for (const auto& alarm : status.value("alarms", Json::array())) std::cout << "ALARM " << alarm.get<std::string>() << "\n";
  std::cout << fmt::format("{:18} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}\n", "step", "waiting", "queued", "running", "done", "failed", "set aside", "versions");
  for (const auto& step : status.at("steps"))
    std::cout << fmt::format("{:18} {:8} {:8} {:8} {:8} {:8} {:9} {:8}{}\n", step.value("name", ""), step.value("waiting", 0), step.value("queued", 0), step.value("running", 0),
                             step.value("done", 0), step.value("failed", 0), step.value("set_aside", 0), step.value("versions", 0), step.value("closed", false) ? "  closed" : "");
}

double number(const Json& json, const char* key) { return json.contains(key) && json[key].is_number() ? json[key].get<double>() : 0; }

void print_item(const Json& item) {
  std::cout << fmt::format("{}: {}\n", item.value("label", ""), item.value("outcome", ""));
  for (const auto& entry : item.at("chain")) {
    std::string line = fmt::format("  {:18} {}", entry.value("step", ""), entry.value("state", ""));
    if (entry.contains("decision")) {
      const auto& d = entry["decision"];
      line += fmt::format(": {} by {} = {:g}, limit {:g}{}", d.value("accepted", true) ? "accepted" : "set aside", d.value("rule", ""), number(d, "value"), number(d, "limit"),
                          d.value("reason", "").empty() ? "" : " (" + d.value("reason", "") + ")");
    }
    if (entry.contains("person")) line += entry["person"].value("accepted", true) ? "; restored by a person" : "; set aside by a person";
    if (entry.contains("error")) line += ": " + entry["error"].value("message", "");
    std::cout << line << "\n";
  }
}

}  // namespace

int status_command(Arguments arguments) {
  const auto call = parse_call(arguments, "status", false);
  const auto status = ask(call.project, "status").at("status");
  if (call.json) std::cout << status.dump() << "\n";
  else print_status(status);
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
    for (const auto& file : answer.at("files")) std::cout << fmt::format("{}: {} at {}: {}\n", file.value("path", ""), file.value("state", ""), file.value("step", ""), file.value("reason", ""));
  });
}

int restore_command(Arguments arguments) { return change_command(arguments, "restore"); }
int set_aside_command(Arguments arguments) { return change_command(arguments, "set-aside"); }
int pause_command(Arguments arguments) { return simple_command(arguments, "pause"); }
int resume_command(Arguments arguments) { return simple_command(arguments, "resume"); }
int close_command(Arguments arguments) { return simple_command(arguments, "close"); }

int stop_command(Arguments arguments) {
  const int result = simple_command(arguments, "stop");
  const auto call = parse_call(arguments, "stop", false);
  const engine::Lease free_again(call.project, 60);
  return result;
}

int report_command(Arguments arguments) {
  const std::vector<FieldInfo> options = {option("project", "string", "Folder of the project"), option("output", "string", "File to write, e.g. report.html")};
  const auto parsed = parse(arguments, options);
  if (!parsed.has("project")) throw Error(ErrorCode::bad_input, "frazil report --project DIR -o report.html: which project?");
  const fs::path project = fs::absolute(parsed.text("project"));
  const auto snapshot = engine::read_snapshot(project, plugin::registry());
  const fs::path page = parsed.text("output", (project / "report" / "report.html").string());
  if (page.has_parent_path()) make_folders(page.parent_path());
  report::Writer(project, version()).write(snapshot, page);
  std::cout << page.string() << "\n";
  return ok;
}

int workflow_command(Arguments arguments) {
  const std::vector<FieldInfo> options = {option("set", "string", "key=value: a parameter of the workflow; may be repeated")};
  const auto parsed = parse(arguments, options, {"set"});
  if (parsed.positional.size() != 2 || (parsed.positional[0] != "check" && parsed.positional[0] != "show")) throw Error(ErrorCode::bad_input, "frazil workflow check|show FILE [--set key=value]…");
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(template_text(parsed.positional[1]), problems);
  std::vector<std::pair<std::string, std::string>> settings;
  if (parsed.repeated.contains("set"))
    for (const auto& text : parsed.repeated.at("set")) {
      const auto equals = text.find('=');
      settings.emplace_back(text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1));
    }
  const auto values = flow::parse_values(workflow, settings, problems);
  const auto plan = flow::make_plan(workflow, plugin::registry(), values, problems, settings.empty());
  for (const auto& problem : problems) std::cerr << problem.place << ": " << problem.text << "\n";
  if (!problems.empty()) return bad_usage;
  if (parsed.positional[0] == "check") {
    std::cout << fmt::format("{}: {} steps, in order\n", workflow.name, plan.steps.size());
    return ok;
  }
  for (const auto& step : plan.steps) {
    std::string inputs;
    for (const auto& input : step.inputs)
      for (const auto& from : input.from) {
        const auto& source = plan.steps[static_cast<std::size_t>(from.step)];
        inputs += fmt::format(" {}<{}.{}{}", input.port, source.name, source.protocol->outputs[static_cast<std::size_t>(from.port)].name, input.broadcast ? " (last)" : "");
      }
    std::cout << fmt::format("{:18} {:20}{}\n", step.name, step.protocol->name, inputs);
  }
  return ok;
}

}  // namespace frazil::cli
