// `frazil run`: a workflow on a project, live, until its streams close or somebody stops it.
#pragma once

#include <filesystem>

#include "frazil/cli/command.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/report/report.hpp"

namespace frazil::cli {

/// `frazil run [TEMPLATE] --project DIR [--set key=value]… [--until-closed] [--threads N] [--memory MIB]`.
/// Without TEMPLATE the project goes on with the workflow it has.
/// @return 0 all items done, 1 some failed, 130 stopped or interrupted
int run_command(Arguments arguments);

/// `frazil run-all PROJECT…`: several projects in one process, with fair shares of this machine.
int run_all_command(Arguments arguments);

/// What every engine of this program is given: its worker, STAR files, the report. The last two arguments must outlive
/// it.
[[nodiscard]] engine::Options engine_options(const std::filesystem::path& project, report::Writer& writer,
                                             const std::filesystem::path& page);
/// Prints how a run has ended. @return exit code
int tell_end(engine::Engine& engine, engine::End end, const std::filesystem::path& project,
             const std::filesystem::path& page);
/// "0,1" as its parts.
[[nodiscard]] std::vector<std::string> gpus_of(const std::string& text);

/// `frazil worker …`: started by executors, not by people.
int worker_command(Arguments arguments);

}  // namespace frazil::cli
