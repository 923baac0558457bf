// `frazil simulate`: writes what the simulated microscope records, and the truth beside it; or replays a folder of
// recorded files.
#pragma once

#include "frazil/cli/command.hpp"
#include "frazil/sim/scene.hpp"

namespace frazil::cli {

/// `simulate [SCENE.json] -o DIR [--<scene parameter> value]… [--json]` or
/// `simulate --replay DIR --into FOLDER --rate N [--fault late,truncated,…] [--seed N] [--json]`.
int simulate_command(Arguments arguments);

/// Writes the scene into `folder`: movies, micrographs or particles; `truth.json` and `truth.star`;
/// `truth/<specimen>.mrc`, the density of each specimen; for movies `references/gain.mrc` and `references/defects.txt`.
/// One JSON line an item when `json`.
/// @throws Error(io|resource|not_found|bad_input)
void write_scene(const sim::Scene& scene, const std::string& folder, bool json);

}  // namespace frazil::cli
