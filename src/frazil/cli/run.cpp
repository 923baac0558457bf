#include "frazil/cli/run.hpp"
#include "frazil/algo/device/device.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>

#include "frazil/algo/device/device.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/utf8.hpp"
#include "frazil/cli/alarms.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/rehearse.hpp"
#include "frazil/cli/start.hpp"
#include "frazil/cli/status_line.hpp"
#include "frazil/cli/status_text.hpp"
#include "frazil/cli/templates.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/engine/probe.hpp"
#include "frazil/engine/snapshot.hpp"
#include "frazil/exec/hub.hpp"
#include "frazil/exec/worker.hpp"
#include "frazil/flow/settings.hpp"
#include "frazil/plugin/answer.hpp"
#include "frazil/plugin/installed.hpp"
#include "frazil/protocols/set_star.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

std::vector<FieldInfo> run_options() {
  return {option("project", "string", "Folder of the project; made if it is not there"),
          option("set", "string", "key=value: a parameter of the workflow; may be repeated"),
          option("until_closed", "boolean", "End when all streams have closed; otherwise keep watching until stopped"),
          option("threads", "integer", "Threads in use at once; default: all CPUs of this process"),
          option("memory", "integer", "MiB reserved at once; default: four fifths of what is free"),
          option("gpus", "string", "Numbers of the GPUs in use, as in CUDA_VISIBLE_DEVICES: 0,1"),
          option("device", "string",
                 "Where steps compute that can choose and name no device themselves: see frazil --version"),
          option("disk_reserve", "integer",
                 "MiB of the project's disk that stay free: below that nothing new starts; default 200"),
          option("silence", "number", "Minutes without a file that are an alarm, at least; default 20"),
          option("filter_share", "number",
                 "Share of a filter's last 20 decisions against the item beyond which that is an alarm; default 0.5"),
          option("cluster", "string", "Run the tasks on a cluster: \"slurm\", or a JSON file with its settings"),
          option("rebuild", "boolean",
                 "The project's database is lost, damaged or an older copy: find the results in steps/ again"),
          option("prepare", "boolean", "Make or change the project and run nothing"),
          option("dry_run", "boolean", "Say what a start would meet, and make nothing"),
          option("json", "boolean", "With --dry-run: print it as JSON"),
          option("quiet", "boolean", "No status line"),
          option("help", "boolean", "This text")};
}

/// `key=value` texts as typed values; relative paths become absolute, so that the run can go on from another folder.
Json values_of(const flow::Workflow& workflow, const std::vector<std::string>& settings) {
  std::vector<flow::Problem> problems;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& setting : settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos)
      problems.push_back({"--set " + setting, "must be key=value"});
    else
      pairs.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  auto values = flow::parse_values(workflow, plugin::registry(), pairs, problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", flow::describe(problems));
  for (const auto& [key, value] : values.items())
    if (value.is_string() && !is_utf8(value.get<std::string>()))
      throw Error(ErrorCode::bad_input,
                  "{}: {} is not UTF-8; give the file or folder another name, or a link that has one", key,
                  printable_name(value.get<std::string>()));
  for (auto& [key, value] : values.items())
    if (const auto setting = flow::find_setting(workflow, plugin::registry(), key, problems);
        setting && setting->field.file && value.is_string() && !value.get<std::string>().empty())
      value = fs::absolute(value.get<std::string>()).lexically_normal().string();
  return values;
}

/// The workflow computing on that device; "": as it says itself.
std::string with_device(const std::string& text, const std::string& name) {
  if (name.empty()) return text;
  auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) return text;
  json["device"] = device::known(name).name;
  return json.dump(2);
}

/// What is to run, and with which values.
struct Wish {
  flow::Workflow workflow;
  Json values;  ///< those that were typed
};

Wish wish_of(const Parsed& parsed, const fs::path& project) {
  if (parsed.positional.empty() && !fs::exists(project / "workflow.json"))
    throw Error(ErrorCode::bad_input, "{}: is no project yet; name a template or a workflow file", project.string());
  const auto text =
      parsed.positional.empty() ? read_text(project / "workflow.json") : template_text(parsed.positional.front());
  std::vector<flow::Problem> problems;
  auto workflow = flow::parse_workflow(with_device(text, parsed.text("device")), problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", flow::describe(problems));
  const auto settings = parsed.repeated.contains("set") ? parsed.repeated.at("set") : std::vector<std::string>{};
  auto values = values_of(workflow, settings);
  return {std::move(workflow), std::move(values)};
}

/// Says what the start meets. @throws Error(bad_input) with all problems; nothing has been made then
void try_start(const Wish& wish, const fs::path& project, bool quiet) {
  const auto seen =
      engine::probe(wish.workflow, engine::values_with(project, wish.workflow, plugin::registry(), wish.values),
                    plugin::registry(), project);
  std::cerr << start_text(seen, !quiet);
  if (!seen.problems.empty()) throw Error(ErrorCode::bad_input, "the run cannot start:\n{}", problems_text(seen));
}

/// `--dry-run`. @return 2 if a start would be refused
int dry_run(const Wish& wish, const fs::path& project, bool json) {
  const auto seen =
      engine::probe(wish.workflow, engine::values_with(project, wish.workflow, plugin::registry(), wish.values),
                    plugin::registry(), project);
  if (json)
    std::cout << engine::to_json(seen).dump() << "\n";
  else
    std::cout << start_text(seen, true);
  if (!seen.problems.empty()) std::cerr << "the run cannot start:\n" << problems_text(seen) << "\n";
  return seen.problems.empty() ? ok : bad_usage;
}

}  // namespace

std::vector<std::string> gpus_of(const std::string& text) {
  std::vector<std::string> list;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');)
    if (!part.empty()) list.push_back(part);
  return list;
}

engine::Options engine_options(const fs::path& project, report::Writer& writer, const fs::path& page) {
  engine::Options settings;
  settings.project = project;
  settings.program = "frazil " + version();
  settings.worker_command = {fs::read_symlink("/proc/self/exe").string(), "worker"};
  settings.read_answer = plugin::read_answer;
  settings.star = [](const engine::SetView& view) { return protocols::star_format(view.kind, view.project); };
  settings.kept_tables = protocols::final_tables;
  settings.on_progress = [&writer, &page](const engine::Reading& reading, bool) {
    make_folders(page.parent_path());  // what goes wrong here stops nothing: the engine tells of it
    writer.write(reading, page);
  };
  return settings;
}

int tell_end(engine::Engine& engine, engine::End end, const fs::path& project, const fs::path& page) {
  for (const auto& step : engine.status().steps)
    if (!step.note.empty()) std::cout << fmt::format("{}: {}\n", step.name, step.note);
  const auto account = engine.reading().state->live.status.account;
  std::cout << counts_text(engine::to_json(account), terminal_width(STDOUT_FILENO));
  for (const auto& alarm : engine.status().alarms) std::cout << alarm_text(engine::to_json(alarm));
  if (const auto summary = alarm_summary(engine.status().alarms); !summary.empty()) std::cout << summary << "\n";
  std::cout << fmt::format("project {}\nreport  {}\n", project.string(), page.string());
  switch (end) {
    case engine::End::finished:
      return ok;
    case engine::End::some_failed:
      return some_failed;
    default:
      return interrupted;
  }
}

int run_command(Arguments arguments) {
  const auto options = run_options();
  const auto parsed = parse(arguments, options, {"set"});
  if (parsed.has("help")) {
    std::cout << "frazil run [TEMPLATE] --project DIR [--set key=value]…\n" << help_text(options, true);
    return ok;
  }
  if (!parsed.has("project") || parsed.positional.size() > 1)
    throw Error(ErrorCode::bad_input, "frazil run TEMPLATE --project DIR [--set key=value]…");
  const fs::path project = fs::absolute(parsed.text("project")).lexically_normal();
  const auto wish = wish_of(parsed, project);
  const auto& workflow = wish.workflow;
  const bool quiet = parsed.values.value("quiet", false), only_prepare = parsed.values.value("prepare", false);
  if (parsed.values.value("dry_run", false)) return dry_run(wish, project, parsed.values.value("json", false));
  const bool rebuild =
      parsed.values.value("rebuild", false);  // values that are not typed are found again with the rest
  if (!only_prepare && !rebuild) try_start(wish, project, quiet);
  for (const auto& change : engine::prepare_project(project, workflow, wish.values, plugin::registry(), rebuild))
    std::cerr << change << "\n";
  if (only_prepare) {
    std::cout << fmt::format("project {}\n", project.string());
    return ok;
  }

  const auto page = project / "report" / "report.html";
  report::Writer writer(project, version());
  StatusPrinter printer(STDERR_FILENO);
  auto settings = engine_options(project, writer, page);
  std::optional<exec::Hub> hub;
  if (parsed.has("cluster")) {
    const auto text = parsed.text("cluster");
    auto cluster = exec::parse_cluster(text == "slurm" ? Json::object() : Json::parse(read_text(text), nullptr, false));
    for (const auto& [name, step] : workflow.steps)
      if (step.value("executor", Json()) == "local") cluster.local_steps.push_back(name);
    hub.emplace(std::move(cluster), project, settings.worker_command);
    settings.worker_command.insert(settings.worker_command.end(), {"--hub", hub->file().string()});
    settings.has_cluster_workers = [&] { return hub->has_workers(); };
    settings.place = [&](const flow::PlannedStep& step) { return hub->place(step.name); };
  }
  settings.threads = parsed.values.value("threads", 0);
  settings.memory_mib = parsed.values.value("memory", 0);
  settings.gpus = gpus_of(parsed.text("gpus"));
  settings.disk_reserve_mib = parsed.values.value("disk_reserve", settings.disk_reserve_mib);
  settings.until_closed = parsed.values.value("until_closed", false);
  settings.guards.silence_s = 60 * parsed.values.value("silence", settings.guards.silence_s / 60);
  settings.watch.set_aside_share = parsed.values.value("filter_share", settings.watch.set_aside_share);
  if (!quiet) settings.on_status = [&](const engine::Status& status) { printer.show(status); };
  engine::Engine engine(std::move(settings), plugin::registry());
  const auto end = engine.run();
  return tell_end(engine, end, project, page);
}

int worker_command(Arguments arguments) {
  if (arguments.size() == 1 && (arguments[0] == "--help" || arguments[0] == "-h")) {
    std::cout << "frazil worker …   started by engines and clusters, not by people\n";
    return ok;
  }
  if (arguments.size() > 4 && arguments[0] == "--rehearse") return rehearsal_worker(arguments);
  return exec::run_worker(exec::parse_worker_arguments({arguments.begin(), arguments.end()}), plugin::registry());
}

}  // namespace frazil::cli
