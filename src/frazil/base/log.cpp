#include "frazil/base/log.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>

#include "frazil/base/words.hpp"

namespace frazil::log {
namespace {
std::atomic<Level> threshold{Level::info};
constexpr std::string_view level_names[] = {"debug", "info", "warning", "error"};
}  // namespace

void set_level(Level level) { threshold = level; }

void write(Level level, std::string_view text) {
  if (level < threshold.load()) return;
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  const auto line =
      fmt::format("{:%Y-%m-%d %H:%M:%S} {}: {}\n", local, level_names[static_cast<int>(level)], with_units(text));
  // One write call, so that lines of several processes do not mix; a closed stderr is nobody's failure.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace frazil::log
