// Commands on a project that exists: what its state is, why an item is where it is, taking decisions back, stopping.
// They speak to the engine that works on the project, or open it themselves.
#pragma once

#include <filesystem>

#include "frazil/cli/command.hpp"
#include "frazil/params/json.hpp"

namespace frazil::cli {

/// A request to a project, in the name of whoever types. @throws Error as the engine answers
[[nodiscard]] Json send(const std::filesystem::path& project, Json request);

int status_command(Arguments arguments);     ///< frazil status --project DIR [--json]
int why_command(Arguments arguments);        ///< frazil why ITEM --project DIR [--json]
int restore_command(Arguments arguments);    ///< frazil restore ITEM… --project DIR
int set_aside_command(Arguments arguments);  ///< frazil set-aside ITEM… --project DIR
int stop_command(Arguments arguments);       ///< frazil stop --project DIR: returns when the engine has ended
int what_if_command(Arguments arguments);    ///< frazil what-if KEY=VALUE… --project DIR [--json]
int set_command(Arguments arguments);        ///< frazil set KEY=VALUE… --project DIR
int approve_command(Arguments arguments);    ///< frazil approve STEP… --project DIR
int answer_command(Arguments arguments);     ///< frazil answer QUESTION [FILE…|--accept|--set-aside] --project DIR
int cancel_command(Arguments arguments);     ///< frazil cancel STEP|NUMBER… --project DIR
int pause_command(Arguments arguments);      ///< frazil pause --project DIR: running tasks end, none starts
int resume_command(Arguments arguments);     ///< frazil resume --project DIR
int close_command(Arguments arguments);      ///< frazil close --project DIR: no more files will come
int report_command(Arguments arguments);     ///< frazil report --project DIR -o report.html
int workflow_command(Arguments arguments);   ///< frazil workflow check|show|graph FILE [--set key=value]…

}  // namespace frazil::cli
