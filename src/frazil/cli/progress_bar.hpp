// How far a single step has come, on a terminal: appears when it takes more than a few seconds.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace frazil::cli {

/// "mic_0003 [#########...........] 45 %, 2 of 8: aligned" in at most `width` columns.
/// @param fraction  of the item that is done, 0 to 1; NaN: not known
[[nodiscard]] std::string bar_line(std::string_view item, int done, int count, double fraction, std::string_view what,
                                   int width);

/// Shows the line, rewritten in place; nothing at all where the file is no terminal. From any thread.
class ProgressBar {
 public:
  /// @param after_s  nothing is shown before
  explicit ProgressBar(int file, double after_s = 3);
  /// Wipes the line out.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// The next item begins; so many of `count` are done.
  void begin(std::string item, int done, int count);
  void show(double fraction, std::string_view what);
  /// Wipes the line out, so that something else can be printed; the next `show` brings it back.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void wipe();

  int file_;
  bool is_terminal_, shown_ = false;
  std::mutex mutex_;
  std::string item_;
  int done_ = 0, count_ = 0;
  Clock::time_point next_;
};

}  // namespace frazil::cli
