#include "frazil/cli/status_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <vector>

#include "frazil/base/words.hpp"
#include "frazil/cli/alarms.hpp"
#include "frazil/cli/status_text.hpp"
#include "frazil/model/kinds.hpp"

namespace frazil::cli {
namespace {

/// "ctf 20, 2 at work", "filter-ctf 18 kept, 2 aside"; empty: nothing has come there yet.
std::string step_part(const engine::StepStatus& step) {
  std::string part;
  if (step.is_filter) {
    if (step.accepted + step.set_aside > 0) part = fmt::format("{} kept", step.accepted);
    if (step.set_aside > 0) part += fmt::format(", {} aside", step.set_aside);
  } else if (step.is_fold) {
    if (step.versions > 0) part = counted(step.versions, "version");
  } else if (step.done > 0) {
    part = std::to_string(step.done);
  }
  const auto add = [&](int count, const char* what) {
    if (count > 0) part += fmt::format("{}{} {}", part.empty() ? "" : ", ", count, what);
  };
  add(step.running, "at work");
  add(step.held, "held");
  add(step.failed, "failed");
  return part.empty() ? part : step.name + " " + part;
}

/// "24 movies: 20 kept, 2 set aside, 1 failed".
std::string source_part(const engine::SourceAccount& source) {
  const auto* kind = find_kind(source.kind);
  auto part = counted(source.items, kind == nullptr ? "item" : kind->facts.one) + fmt::format(": {} kept", source.kept);
  const auto add = [&](int count, const char* what) {
    if (count > 0) part += fmt::format(", {} {}", count, what);
  };
  add(source.set_aside, "set aside");
  add(source.held, "held");
  add(source.failed, "failed");
  add(source.broken, "broken");
  add(source.incomplete, "incomplete");
  return part;
}

/// Particles that got through the last step that gives them micrograph by micrograph.
std::string particles_part(const engine::Account& account) {
  double count = 0;
  for (const auto& a : account.amounts)
    if (a.kind == "Particles" && a.passed > 0) count = a.passed;
  return count > 0 ? counted(count, "particles") : "";
}

std::string rate_part(const engine::Status& status) {
  if (status.state != "running" || status.rate.window_s < 10) return {};
  return fmt::format("{} in, {} through in {}", status.rate.arrived, status.rate.through,
                     elapsed_text(status.rate.window_s));
}

/// Everything but the clock, what matters most first.
std::string content_of(const engine::Status& status) {
  std::vector<std::string> parts = {status.state};
  if (!status.alarms.empty()) parts.push_back("ALARM: " + alarm_summary(status.alarms));
  if (!status.note.empty()) parts.push_back("WAITS: " + status.note);
  for (const auto& source : status.account.sources) parts.push_back(source_part(source));
  if (status.behind > 0) parts.push_back(fmt::format("{} behind", status.behind));
  parts.push_back(rate_part(status));
  parts.push_back(particles_part(status.account));
  std::string line, steps;
  for (const auto& part : parts)
    if (!part.empty()) line += (line.empty() ? "" : " | ") + part;
  for (const auto& step : status.steps)
    if (const auto part = step_part(step); !part.empty()) steps += (steps.empty() ? " | " : " · ") + part;
  return line + steps;
}

}  // namespace

std::string status_line(const engine::Status& status, int width) {
  return cut_to(elapsed_text(status.seconds) + " " + content_of(status), width);
}

StatusPrinter::StatusPrinter(int file) : file_(file), is_terminal_(::isatty(file) != 0) {}

StatusPrinter::~StatusPrinter() {
  if (shown_ && is_terminal_) (void)!::write(file_, "\n", 1);
}

void StatusPrinter::show(const engine::Status& status) {
  if (is_terminal_) {
    const auto line = "\r" + status_line(status, terminal_width(file_) - 1) + "\x1b[K";
    shown_ = true;
    (void)!::write(file_, line.data(), line.size());
    return;
  }
  const bool is_last = status.state == "finished" || status.state == "stopped";
  if (!is_last && status.seconds < next_s_) return;
  auto content = content_of(status);
  if (content == last_ && !is_last) return;
  auto line = elapsed_text(status.seconds) + " " + content;
  last_ = std::move(content);
  next_s_ = status.seconds + 10;
  line += '\n';
  (void)!::write(file_, line.data(), line.size());
}

}  // namespace frazil::cli
