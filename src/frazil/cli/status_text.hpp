// What `frazil status` and `frazil why` print.
#pragma once

#include <string>

#include "frazil/params/json.hpp"

namespace frazil::cli {

/// How far a project has come, what matters most first. @param status  as the engine tells it; @param width  columns of
/// the terminal; 0: no limit
[[nodiscard]] std::string status_text(const Json& status, int width);
/// Where files, items and particles have gone. @param counts  those of a status
[[nodiscard]] std::string counts_text(const Json& counts, int width);
/// The way of one item through the steps. @param item  one of the answer to `why`
[[nodiscard]] std::string why_text(const Json& item);
/// Columns of the terminal behind a file; 0: it is none.
[[nodiscard]] int terminal_width(int file);
/// The text in at most so many columns, with "…" where it was longer; 0: no limit.
[[nodiscard]] std::string cut_to(const std::string& text, int width);

}  // namespace frazil::cli
