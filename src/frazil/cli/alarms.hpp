// What is wrong with a project, in words; a person's acknowledgement; the log of what happened.
#pragma once

#include "frazil/cli/command.hpp"
#include "frazil/engine/engine.hpp"

namespace frazil::cli {

/// Local date and time, to the minute or the second. @param time  seconds since 1970
[[nodiscard]] std::string date_and_time(double time, bool with_seconds = false);
/// The start of a span of time that a person has typed: "90min", "2h", "3d" before `now`, "14:00" (today),
/// "2026-07-02" or "2026-07-02 14:00". @throws Error(bad_input)
[[nodiscard]] double time_of(const std::string& text, double now);

/// One alarm as status and the end of a run show it, in several lines. @param alarm  as in `--json`
[[nodiscard]] std::string alarm_text(const Json& alarm);
/// "2 alarms stand, the gravest: monitor-gain: …"; empty: none.
[[nodiscard]] std::string alarm_summary(const std::vector<store::AlarmRow>& alarms);

int acknowledge_command(Arguments arguments);  ///< frazil acknowledge NUMBER… --project DIR [--reason TEXT]
int log_command(Arguments arguments);  ///< frazil log --project DIR [--since TIME] [--follow] [--alarms] [--json]

}  // namespace frazil::cli
