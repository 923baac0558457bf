// One protocol run on files, without a project: `frazil <protocol> INPUT… -o DIR`.
#pragma once

#include "frazil/cli/command.hpp"
#include "frazil/flow/protocol.hpp"

namespace frazil::cli {

/// Runs `protocol` on every item that the input files give; results go to the output folder and, with --json, one
/// JSON line an item to standard output.
int run_step(const flow::Protocol& protocol, Arguments arguments);

/// What --json prints of the records on one output port: one line a record, and one line a class for Classes.
[[nodiscard]] std::vector<Json> json_lines(const std::string& kind, const Json& record);

}  // namespace frazil::cli
