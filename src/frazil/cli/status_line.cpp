#include "frazil/cli/status_line.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "frazil/cli/alarms.hpp"

namespace frazil::cli {
namespace {

std::string step_part(const engine::StepStatus& step) {
  if (step.is_source) return fmt::format("{} {}", step.name, step.done);
  std::string part = step.name + " ";
  if (step.is_fold)
    part += fmt::format("v{}", step.versions);
  else if (step.is_filter)
    part += fmt::format("{}", step.accepted);
  else
    part += fmt::format("{}", step.done);
  if (step.is_filter && step.set_aside > 0) part += fmt::format("(-{})", step.set_aside);
  if (step.running > 0) part += "*";
  if (step.failed > 0) part += fmt::format("!{}", step.failed);
  return part;
}

/// Columns on a terminal, as far as our own texts go: bytes that start a character.
std::size_t columns(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

std::string cut(const std::string& text, std::size_t width) {
  if (columns(text) <= width) return text;
  std::string kept;
  std::size_t count = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && ++count >= width) break;
    kept += c;
  }
  return kept + "…";
}

}  // namespace

std::string status_line(const engine::Status& status, int width) {
  std::string stage;
  std::string steps;
  for (const auto& step : status.steps) {
    steps += (steps.empty() ? "" : " · ") + step_part(step);
    if (step.running > 0) stage = step.name;
  }
  const auto seconds = static_cast<long>(status.seconds);
  std::string head = fmt::format("{:02}:{:02}:{:02} ", seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (status.state != "running")
    head += status.state + " ";
  else if (!status.note.empty())
    head += "WAITING (" + status.note + ") ";
  head += fmt::format("{} behind, {:.0f}/h", status.behind, status.per_hour);
  if (!stage.empty()) head += ", at " + stage;
  if (status.failed > 0) head += fmt::format(", {} failed", status.failed);
  if (status.broken > 0) head += fmt::format(", {} broken", status.broken);
  if (status.replaced > 0) head += fmt::format(", {} replaced", status.replaced);
  if (status.excluded > 0) head += fmt::format(", {} left out", status.excluded);
  if (status.growing > 0) head += fmt::format(", {} incomplete", status.growing);
  if (!status.alarms.empty()) head += ", ALARM: " + alarm_summary(status.alarms);
  const auto line = head + " | " + steps;
  return width > 0 ? cut(line, static_cast<std::size_t>(width)) : line;
}

StatusPrinter::StatusPrinter(int file) : file_(file), is_terminal_(::isatty(file) != 0) {}

StatusPrinter::~StatusPrinter() {
  if (shown_ && is_terminal_) (void)!::write(file_, "\n", 1);
}

void StatusPrinter::show(const engine::Status& status) {
  if (is_terminal_) {
    winsize size{};
    const int width = ::ioctl(file_, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1 : 100;
    const auto line = "\r" + status_line(status, width) + "\x1b[K";
    shown_ = true;
    (void)!::write(file_, line.data(), line.size());
    return;
  }
  const bool is_last = status.state == "finished" || status.state == "stopped";
  if (!is_last && status.seconds < next_s_) return;
  auto line = status_line(status, 0);
  const auto content = line.substr(line.find(' '));  // without the clock
  if (content == last_ && !is_last) return;
  last_ = content;
  next_s_ = status.seconds + 10;
  line += '\n';
  (void)!::write(file_, line.data(), line.size());
}

}  // namespace frazil::cli
