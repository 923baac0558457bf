// `frazil plugin`: external programs as protocols.
#pragma once

#include "frazil/cli/command.hpp"

namespace frazil::cli {

/// `frazil plugin list | check NAME|FOLDER | install PATH|GIT-URL | update NAME | remove NAME | enable NAME | disable
/// NAME`
int plugin_command(Arguments arguments);

}  // namespace frazil::cli
