// The live line that shows how far a run has come.
#pragma once

#include <string>

#include "frazil/engine/engine.hpp"

namespace frazil::cli {

/// Counts of every step, rate, lag and stage in at most `width` columns; 0: no limit.
[[nodiscard]] std::string status_line(const engine::Status& status, int width);

/// Shows the line: rewritten in place on a terminal, else a new line when it has changed, at most every 10 s.
class StatusPrinter {
 public:
  explicit StatusPrinter(int file);
  /// Leaves the line standing, so that something else can be printed.
  ~StatusPrinter();
  StatusPrinter(const StatusPrinter&) = delete;
  StatusPrinter& operator=(const StatusPrinter&) = delete;
  void show(const engine::Status& status);

 private:
  int file_;
  bool is_terminal_, shown_ = false;
  std::string last_;
  double next_s_ = 0;
};

}  // namespace frazil::cli
