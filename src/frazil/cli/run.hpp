// `frazil run`: a workflow on a project, live, until its streams close or somebody stops it.
#pragma once

#include "frazil/cli/command.hpp"

namespace frazil::cli {

/// `frazil run [TEMPLATE] --project DIR [--set key=value]… [--until-closed] [--threads N] [--memory MIB]`.
/// Without TEMPLATE the project goes on with the workflow it has.
/// @return 0 all items done, 1 some failed, 130 stopped or interrupted
int run_command(Arguments arguments);

/// `frazil worker …`: started by executors, not by people.
int worker_command(Arguments arguments);

}  // namespace frazil::cli
