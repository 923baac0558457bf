#include "frazil/cli/settings_text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "frazil/flow/settings.hpp"

namespace frazil::cli {
namespace {

std::string with_unit(const Json& value, const std::string& unit) {
  return flow::value_text(value) + (value.is_number() && !unit.empty() ? " " + unit : "");
}

/// "; 40 Å until gb set it at 2026-08-01 12:03:11", where somebody has.
std::string origin_text(const Json& row, const std::string& unit) {
  if (!row.at("time").is_number()) return {};
  const auto time = static_cast<std::time_t>(row.at("time").get<double>());
  return fmt::format("; {} until {} set it at {:%Y-%m-%d %H:%M:%S}", with_unit(row.at("from"), unit),
                     row.value("actor", "somebody"), fmt::localtime(time));
}

}  // namespace

std::string settings_text(const Json& settings) {
  std::string text;
  for (const auto& row : settings) {
    const auto unit = row.value("unit", "");
    text += fmt::format("{:28} {:24} {}{}\n", row.value("name", ""), with_unit(row.at("value"), unit),
                        row.value("title", ""), origin_text(row, unit));
  }
  return text;
}

std::string changes_text(const Json& changes) {
  std::string text;
  for (const auto& change : changes.value("values", Json::array())) text += change.value("text", "") + "\n";
  return text.empty() ? "nothing changes: these values are in force already\n" : text;
}

}  // namespace frazil::cli
