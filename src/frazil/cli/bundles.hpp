// `frazil export`, `frazil verify`, `frazil repoint`, `frazil snapshot`: what projects give away, and projects that go
// elsewhere.
#pragma once

#include "frazil/cli/command.hpp"

namespace frazil::cli {

/// `frazil export --project DIR -o BUNDLE [--with-movies]`
int export_command(Arguments arguments);
/// `frazil verify --project DIR [--sample N] [--seed N]` computes again, `frazil verify BUNDLE` compares hashes.
int verify_command(Arguments arguments);
/// `frazil snapshot --project DIR`: the whole state as JSON (engine/snapshot.hpp), for scripts.
int snapshot_command(Arguments arguments);
/// `frazil repoint FOLDER --project DIR [--step NAME]`
int repoint_command(Arguments arguments);

}  // namespace frazil::cli
