// `frazil demo`: a simulated microscope and the full workflow on what it records, end to end.
#pragma once

#include "frazil/cli/command.hpp"

namespace frazil::cli {

/// `demo [--project DIR] [--movies N] [--seed N] [--rate N]`: simulates movies, replays them into a folder while the
/// workflow `volume` works on it, and prints where the report is. The truth stays in DIR/microscope, which no step
/// reads.
int demo_command(Arguments arguments);

}  // namespace frazil::cli
