#include "frazil/cli/progress_bar.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace frazil::cli {

std::string bar_line(std::string_view item, int done, int count, double fraction, std::string_view what, int width) {
  constexpr int cells = 20;
  const double whole = (done + (std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0)) / std::max(1, count);
  const auto full = static_cast<std::size_t>(std::lround(cells * whole));
  auto line = fmt::format("{} [{}{}] {:.0f} %", item, std::string(full, '#'), std::string(cells - full, '.'),
                          std::floor(100 * whole));
  if (count > 1) line += fmt::format(", {} of {}", done, count);
  if (!what.empty()) line += fmt::format(": {}", what);
  return line.substr(0, static_cast<std::size_t>(std::max(0, width)));
}

ProgressBar::ProgressBar(int file, double after_s)
    : file_(file),
      is_terminal_(::isatty(file) != 0),
      next_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(after_s))) {}

ProgressBar::~ProgressBar() { wipe(); }

void ProgressBar::begin(std::string item, int done, int count) {
  {
    const std::lock_guard lock(mutex_);
    item_ = std::move(item);
    done_ = done;
    count_ = count;
  }
  show(0, "");
}

void ProgressBar::show(double fraction, std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (!is_terminal_ || Clock::now() < next_) return;
  next_ = Clock::now() + std::chrono::milliseconds(200);
  winsize size{};
  const int width = ::ioctl(file_, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1 : 79;
  const auto line = "\r" + bar_line(item_, done_, count_, fraction, what, width) + "\x1b[K";
  shown_ = true;
  (void)!::write(file_, line.data(), line.size());
}

void ProgressBar::clear() {
  const std::lock_guard lock(mutex_);
  wipe();
}

void ProgressBar::wipe() {
  constexpr std::string_view blank = "\r\x1b[K";
  if (std::exchange(shown_, false)) (void)!::write(file_, blank.data(), blank.size());
}

}  // namespace frazil::cli
