#include "frazil/cli/alarms.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "frazil/cli/project.hpp"
#include "frazil/cli/project_folder.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

std::tm local_time(double time) {
  const auto seconds = static_cast<std::time_t>(time);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

/// "90min" as seconds; none: it is no span of time.
std::optional<double> span_of(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, double>, 5> units{
      {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, seconds] : units)
    if (unit == name) return value * seconds;
  return std::nullopt;
}

}  // namespace

std::string date_and_time(double time, bool with_seconds) {
  const auto local = local_time(time);
  return with_seconds ? fmt::format("{:%Y-%m-%d %H:%M:%S}", local) : fmt::format("{:%Y-%m-%d %H:%M}", local);
}

double time_of(const std::string& text, double now) {
  if (const auto span = span_of(text)) return now - *span;
  for (const char* format : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M"}) {
    auto local = local_time(now);
    local.tm_sec = local.tm_min = local.tm_hour = 0;
    if (const char* end = ::strptime(text.c_str(), format, &local); end == nullptr || *end != '\0') continue;
    local.tm_isdst = -1;
    return static_cast<double>(std::mktime(&local));
  }
  throw Error(ErrorCode::bad_input,
              "\"{}\" is no time: 90min, 2h or 3d before now, 14:00, 2026-07-02, \"2026-07-02 14:00\"", text);
}

// ---- alarms -----------------------------------------------------------------------------------------------------

std::string alarm_text(const Json& alarm) {
  auto text = fmt::format("ALARM {} ({}) since {}\n  {}: {}\n", alarm.value("number", 0), alarm.value("kind", ""),
                          date_and_time(alarm.value("since", 0.0)), alarm.value("source", ""), alarm.value("text", ""));
  const auto line = [&](const char* title, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:10} {}\n", title, value);
  };
  line("seen", alarm.value("seen", ""));
  line("expected", alarm.value("expected", ""));
  line("what to do", alarm.value("advice", ""));
  if (const auto sure = alarm.value("sure", 1.0); sure < 0.9995)
    line("certainty", sure < 0.995 ? fmt::format("{:.0f} %", 100 * sure) : fmt::format("{:.1f} %", 100 * sure));
  if (const auto who = alarm.value("acknowledged", ""); !who.empty()) line("known to", who);
  return text;
}

std::string alarm_summary(const std::vector<store::AlarmRow>& alarms) {
  if (alarms.empty()) return {};
  auto sorted = alarms;
  engine::sort_by_gravity(sorted);
  const auto first = engine::headline(sorted.front());
  return sorted.size() == 1 ? "1 alarm stands: " + first
                            : fmt::format("{} alarms stand, the gravest: {}", sorted.size(), first);
}

int acknowledge_command(Arguments arguments) {
  const Usage usage{
      "frazil acknowledge NUMBER… [--project DIR]   says that you know of alarms that frazil status lists. They stand "
      "on "
      "until their cause is gone, but are not shown as new.",
      {project_option(), option("reason", "string", "What is done about it, in your words"),
       option("actor", "string", "Who acknowledges (default: the login name)")}};
  auto found = parse_or_help(arguments, usage);
  if (!found) return ok;
  auto& parsed = *found;
  if (parsed.positional.empty()) throw misuse(usage, "which alarm? frazil status shows their numbers");
  const auto project = project_of(parsed, usage, false);
  for (const auto& number : parsed.positional) {
    Json request = {{"command", "acknowledge"}, {"item", number}, {"reason", parsed.text("reason")}};
    if (parsed.has("actor")) request["actor"] = parsed.text("actor");
    const auto answer = send(project, std::move(request));
    for (const auto& change : answer.at("changed"))
      std::cout << fmt::format("{} of {}: {}\n", change.value("label", ""), change.value("step", ""),
                               change.value("what", ""));
  }
  return ok;
}

// ---- the log ----------------------------------------------------------------------------------------------------

namespace {

bool is_of_alarms(const Json& event) {
  const auto kind = event.value("kind", "");
  return kind == "alarm" || kind == "alarm over" || kind == "acknowledged";
}

std::string event_line(const Json& event) {
  const auto number = is_of_alarms(event) ? " " + event.value("label", "") : "";
  auto line = fmt::format("{}  {}", date_and_time(event.value("time", 0.0), true), event.value("kind", "") + number);
  if (const auto step = event.value("step", ""); !step.empty()) line += "  " + step;
  if (const auto label = event.value("label", ""); !label.empty() && number.empty()) line += "  " + label;
  if (const auto text = event.value("text", ""); !text.empty()) line += "  " + text;
  if (const auto actor = event.value("actor", ""); !actor.empty()) line += "  (" + actor + ")";
  return line;
}

/// Prints what has happened after an event. @return the last one
std::int64_t print_events(const fs::path& project, std::int64_t since, double time, bool only_alarms, bool json) {
  while (true) {
    const auto answer = send(project, {{"command", "events"}, {"since", since}, {"count", 10000}, {"time", time}});
    const auto& events = answer.at("events");
    for (const auto& event : events) {
      since = std::max(since, event.value("n", std::int64_t{0}));
      if (only_alarms && !is_of_alarms(event)) continue;
      std::cout << (json ? event.dump() : event_line(event)) << "\n";
    }
    std::cout.flush();
    if (events.empty()) return since;
  }
}

/// A name as folders of results have it.
std::string folder_words(std::string label) {
  label = label.substr(0, std::min<std::size_t>(label.find(" ("), 80));
  for (auto& c : label)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.') c = '_';
  return label;
}

/// What workers said of an item: the lines of their logs that name it, and the files that hold all of a failed task.
int print_worker_logs(const fs::path& project, const std::string& item) {
  const auto answer = send(project, {{"command", "why"}, {"item", item}});
  std::vector<std::string> wanted;
  for (const auto& found : answer.at("items")) wanted.push_back("/" + folder_words(found.value("label", "")) + "_");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(project / "logs")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  int lines = 0;
  for (const auto& file : files) {
    const bool is_workers = file.filename().string().starts_with("worker-");
    const auto name = file.filename().string();
    for (const auto& words : wanted) {
      if (!is_workers && name.find("_" + words.substr(1)) != std::string::npos) {
        std::cout << file.string() << ": all that was said\n";
        ++lines;
      }
      std::ifstream text(is_workers ? file : fs::path());
      for (std::string line; std::getline(text, line);)
        if (line.find(words) != std::string::npos) std::cout << file.string() << ": " << line << "\n", ++lines;
    }
  }
  if (lines == 0)
    std::cout << fmt::format("no worker has said anything of {}; their logs are in {}\n", item,
                             (project / "logs").string());
  return ok;
}

}  // namespace

int log_command(Arguments arguments) {
  const Usage usage{"frazil log [DIR]   what has happened in a project, and whose doing it was",
                    {project_option(),
                     option("since", "string",
                            "Only what has happened since: 90min, 2h, 3d, 14:00, 2026-07-02, \"2026-07-02 14:00\""),
                     option("alarms", "boolean", "Only alarms: raised, acknowledged, over"),
                     option("follow", "boolean", "Stay, and print what happens"),
                     option("task", "string", "Instead: what workers have said of an item, and in which files"),
                     option("json", "boolean", "One JSON object a line")}};
  auto found = parse_or_help(arguments, usage);
  if (!found) return ok;
  auto& parsed = *found;
  const auto project = project_of(parsed, usage, true);
  if (!parsed.positional.empty()) throw misuse(usage, "it takes no more than a project");
  if (parsed.has("task")) return print_worker_logs(project, parsed.text("task"));
  const double time = parsed.has("since") ? time_of(parsed.text("since"), store::now()) : 0;
  const bool json = parsed.values.value("json", false), only_alarms = parsed.values.value("alarms", false);
  auto last = print_events(project, 0, time, only_alarms, json);
  while (parsed.values.value("follow", false)) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    last = print_events(project, last, 0, only_alarms, json);
  }
  return ok;
}

}  // namespace frazil::cli
