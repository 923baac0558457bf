#include "frazil/cli/status_text.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "frazil/base/words.hpp"
#include "frazil/cli/alarms.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/model/reasons.hpp"

namespace frazil::cli {
namespace {

double number(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

std::string text(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const Json& list(const Json& json, std::string_view key) {
  static const Json none = Json::array();
  const auto found = json.find(key);
  return found != json.end() && found->is_array() ? *found : none;
}

/// Columns on a terminal, as far as our own texts go: bytes that start a character.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t width) {
  const auto columns = columns_of(text);
  return columns < width ? text + std::string(width - columns, ' ') : text;
}

/// Lines under a heading, broken between words where the terminal ends.
std::string under(const std::string& heading, const std::string& text, int width) {
  constexpr std::size_t indent = 11;
  std::string lines = padded(heading, indent), word;
  std::size_t at = indent;
  const auto put = [&] {
    if (width > 0 && at > indent && at + columns_of(word) > static_cast<std::size_t>(width)) {
      while (lines.ends_with(' ')) lines.pop_back();
      lines += "\n" + std::string(indent, ' ');
      at = indent;
    }
    lines += word;
    at += columns_of(word);
    word.clear();
  };
  for (const char c : text) {
    word += c;
    if (c == ' ') put();
  }
  put();
  return lines + "\n";
}

/// ", 35 %" where it is known.
std::string percent(const Json& of) {
  const auto found = of.find("progress");
  return found != of.end() && found->is_number() ? fmt::format(", {:.0f} %", 100 * found->get<double>()) : "";
}

/// "3 by filter-ctf (rings end too early), 1 by hand".
std::string by_reason(const Json& reasons, std::string_view preposition) {
  std::string line;
  for (const auto& one : reasons) {
    const auto reason = text(one, "reason"), step = text(one, "step");
    line += fmt::format("{}{}", line.empty() ? "" : ", ", grouped(number(one, "count")));
    if (reason == "by hand")
      line += " by hand";
    else if (!step.empty())
      line += fmt::format(" {} {}{}", preposition, step, reason.empty() ? "" : " (" + reason + ")");
    else
      line += " " + reason_in_words(reason);
  }
  return line;
}

/// "Movie" → "movie".
std::string item_word(const std::string& kind) {
  const auto* found = find_kind(kind);
  return found == nullptr || found->facts.one.empty() ? "item" : std::string(found->facts.one);
}

std::string files_line(const Json& source, const std::string& word) {
  auto line = fmt::format("{} seen: {}", grouped(number(source, "files")), counted(number(source, "items"), word));
  const std::pair<const char*, const char*> others[] = {{"incomplete", "incomplete"},
                                                        {"broken", "broken"},
                                                        {"duplicates", "duplicate"},
                                                        {"left_out", "left out"},
                                                        {"replaced", "replaced"}};
  for (const auto& [key, what] : others)
    if (const double count = number(source, key); count > 0)
      line += ", " + (std::string_view(what) == "duplicate" ? counted(count, what) : grouped(count) + " " + what);
  return line;
}

std::string items_line(const Json& source) {
  auto line = fmt::format("{} of {} kept", grouped(number(source, "kept")), grouped(number(source, "items")));
  if (const double restored = number(source, "restored"); restored > 0)
    line += fmt::format(" ({} restored by people)", grouped(restored));
  line += fmt::format(", {} set aside", grouped(number(source, "set_aside")));
  const std::pair<const char*, const char*> others[] = {{"held", "held"}, {"failed", "failed"}, {"in_work", "in work"}};
  for (const auto& [key, what] : others)
    if (const double count = number(source, key); count > 0) line += fmt::format(", {} {}", grouped(count), what);
  return line;
}

std::string source_text(const Json& source, int width) {
  const auto word = item_word(text(source, "kind"));
  auto lines =
      under("files", files_line(source, word), width) + under(counted(2, word).substr(2), items_line(source), width);
  if (const auto why = by_reason(list(source, "set_aside_by"), "by"); !why.empty())
    lines += under("set aside", why, width);
  if (const auto why = by_reason(list(source, "held_by"), "by"); !why.empty()) lines += under("held", why, width);
  if (const auto why = by_reason(list(source, "failed_at"), "at"); !why.empty()) lines += under("failed", why, width);
  return lines;
}

/// "165 found by pick", "121 of 165 by extract (44 left out: 44 box over the edge)".
std::string amount_text(const Json& a) {
  const auto step = text(a, "step");
  if (a.value("first", false)) return fmt::format("{} found by {}", grouped(number(a, "entered")), step);
  auto line = fmt::format("{} of {} by {}", grouped(number(a, "passed")), grouped(number(a, "entered")), step);
  std::string rest;
  const std::pair<const char*, const char*> parts[] = {
      {"set_aside", "set aside"}, {"left_out", "left out"}, {"waiting", "waiting"}, {"failed", "failed"}};
  for (const auto& [key, what] : parts)
    if (const double count = number(a, key); count > 0)
      rest += fmt::format("{}{} {}", rest.empty() ? "" : ", ", grouped(count), what);
  if (const auto why = by_reason(list(a, "reasons"), "by"); !why.empty() && !rest.empty()) rest += ": " + why;
  return line + (rest.empty() ? "" : " (" + rest + ")");
}

std::string amounts_text(const Json& amounts, int width) {
  std::string lines;
  for (const auto& a : amounts)
    if (number(a, "entered") > 0) lines += under(lines.empty() ? "particles" : "", amount_text(a), width);
  return lines;
}

/// One column of the table of steps, shown where some step has a number in it.
struct StepColumn {
  std::string title;
  std::function<double(const Json& step)> value;
  bool always = false;
};

const std::vector<StepColumn>& step_columns() {
  const auto of = [](const char* key) { return [key](const Json& step) { return number(step, key); }; };
  static const std::vector<StepColumn> all = {
      {"done", of("done"), true},
      {"running", of("running")},
      {"waiting", [](const Json& step) { return number(step, "waiting") + number(step, "queued"); }},
      {"failed", of("failed")},
      {"set aside", of("set_aside")},
      {"held", of("held")},
      {"versions", of("versions")}};
  return all;
}

std::string step_state(const Json& step) {
  return step.value("needs_approval", false) ? ": waits for a person: frazil approve " + text(step, "name")
         : step.value("stopped", false)      ? ": has enough"
         : step.value("closed", false)       ? ": closed"
                                             : "";
}

std::string steps_text(const Json& steps, int width) {
  std::vector<StepColumn> shown;
  for (const auto& column : step_columns())
    if (column.always || std::any_of(steps.begin(), steps.end(), [&](const Json& s) { return column.value(s) > 0; }))
      shown.push_back(column);
  std::size_t longest = 4;
  for (const auto& step : steps) longest = std::max(longest, text(step, "name").size());
  auto line = padded("step", longest);
  for (const auto& column : shown) line += fmt::format(" {:>9}", column.title);
  std::string lines = cut_to(line, width) + "\n";
  for (const auto& step : steps) {
    line = padded(text(step, "name"), longest);
    for (const auto& column : shown) line += fmt::format(" {:>9}", grouped(column.value(step)));
    line += "  " + text(step, "title") + step_state(step);
    lines += cut_to(line, width) + "\n";
  }
  return lines;
}

std::string rate_text(const Json& status) {
  const auto rate = status.find("rate");
  const auto state = text(status, "state");
  if (rate == status.end() || (state != "running" && state != "paused")) return {};
  const auto over = elapsed_text(number(*rate, "window_s"));
  return fmt::format("{} came and {} got through in the last {}; {} behind", grouped(number(*rate, "arrived")),
                     grouped(number(*rate, "through")), over, grouped(number(status, "behind")));
}

/// What each step and each long task is at, and why others do not start.
std::string doing_text(const Json& status, int width) {
  std::string lines;
  for (const auto& step : list(status, "steps"))
    if (const auto doing = text(step, "doing"); !doing.empty())
      lines += cut_to(fmt::format("{}: {}{}", text(step, "name"), doing, percent(step)), width) + "\n";
  for (const auto& question : list(status, "questions"))
    lines += fmt::format("question {}: {}\n", question.value("question", 0), text(question, "text"));
  for (const auto& task : list(status, "tasks"))
    lines += cut_to(fmt::format("task {} {}: for {}{}{}{}", task.value("task", 0), text(task, "label"),
                                elapsed_text(number(task, "seconds")), task.contains("doing") ? ", " : "",
                                text(task, "doing"),
                                task.value("paused", false) ? ", paused for live tasks" : percent(task)),
                    width) +
             "\n";
  for (const auto& step : list(status, "steps"))
    if (const auto why = text(step, "note"); !why.empty()) lines += text(step, "name") + ": " + why + "\n";
  return lines;
}

std::string latency_text(const Json& status) {
  const auto latency = status.value("latency", Json::object());
  if (latency.value("items", 0) == 0) return {};
  return fmt::format("half of the items were through within {:.1f} s of their arrival, 95 % within {:.1f} s\n",
                     number(latency, "p50_s"), number(latency, "p95_s"));
}

// ---- why --------------------------------------------------------------------------------------------------------

std::string state_in_words(const std::string& state) {
  if (state == "waiting") return "waits for its input";
  if (state == "ready") return "waits for its turn";
  if (state == "absent") return "does not come here";
  return state;
}

/// "max_step 0.704 Å, limit 10 Å".
std::string measured(const Json& decision) {
  auto name = text(decision, "rule");
  std::string unit;
  const std::pair<std::string_view, std::string_view> units[] = {
      {"_e_per_A2", " e⁻/Å²"}, {"_A", " Å"}, {"_px", " px"}, {"_deg", "°"}, {"_s", " s"}};
  for (const auto& [suffix, words] : units)
    if (unit.empty() && name.ends_with(suffix)) {
      name.resize(name.size() - suffix.size());
      unit = words;
    }
  if (!decision.value("value", Json()).is_number()) return name;
  return fmt::format("{} {}{}, limit {}{}", name, significant(number(decision, "value"), 3), unit,
                     significant(number(decision, "limit")), unit);
}

std::string entry_text(const Json& entry) {
  auto line = fmt::format("  {:18} {}", text(entry, "step"), state_in_words(text(entry, "state")));
  if (const auto d = entry.find("decision"); d != entry.end()) {
    const bool accepted = d->value("accepted", true);
    const auto why = text(*d, "reason");
    line = fmt::format("  {:18} {}: {}{}", text(entry, "step"),
                       d->value("held", false) ? "held"
                       : accepted              ? "accepted"
                                               : "set aside",
                       measured(*d), why.empty() ? "" : " (" + why + ")");
  }
  if (const auto person = entry.find("person"); person != entry.end()) {
    const auto name = text(*person, "actor");
    const double time = number(*person, "time");
    line += fmt::format("; {} by {}{}", person->value("accepted", true) ? "restored" : "set aside",
                        name.empty() ? "a person" : name, time > 0 ? " on " + moment_text(time) : "");
  }
  if (const auto note = text(entry, "note"); !note.empty()) line += ": " + note;
  if (entry.contains("error")) line += ": " + text(entry["error"], "message");
  return line + "\n";
}

}  // namespace

int terminal_width(int file) {
  winsize size{};
  if (::isatty(file) == 0) return 0;
  return ::ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
}

std::string cut_to(const std::string& text, int width) {
  if (width <= 0 || columns_of(text) <= static_cast<std::size_t>(width)) return text;
  std::string kept;
  std::size_t count = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && ++count >= static_cast<std::size_t>(width)) break;
    kept += c;
  }
  return kept + "…";
}

std::string counts_text(const Json& counts, int width) {
  std::string lines;
  for (const auto& source : list(counts, "sources")) lines += source_text(source, width);
  return lines + amounts_text(list(counts, "amounts"), width);
}

std::string status_text(const Json& status, int width) {
  std::string lines;
  for (const auto& alarm : list(status, "alarms")) lines += alarm_text(alarm);
  lines += fmt::format("{}: {}\n", text(status, "project"), text(status, "state"));
  if (const auto note = text(status, "note"); !note.empty()) lines += "WAITS: " + note + "\n";
  lines += counts_text(status.value("counts", Json::object()), width);
  if (const auto rate = rate_text(status); !rate.empty()) lines += under("rate", rate, width);
  lines += steps_text(list(status, "steps"), width);
  return with_units(lines + doing_text(status, width) + latency_text(status));
}

std::string why_text(const Json& item) {
  auto lines = fmt::format("{}: {}\n", text(item, "name"), with_units(text(item, "outcome")));
  if (const auto path = text(item, "path"); !path.empty()) lines += "  file " + path + "\n";
  for (const auto& entry : list(item, "chain")) lines += with_units(entry_text(entry));
  return lines;
}

}  // namespace frazil::cli
