// One area of the specimen as the electrons see it: phases of protein, carbon and crystals on a padded grid; internal
// to the simulator.
#pragma once

#include "frazil/sim/formation.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::sim {

/// Everything drawn for area `index` before an electron is counted.
struct Area {
  Scene scene;
  AreaTruth truth;
  Rng rng{0};
  int margin = 0;  ///< pixels that the grid extends beyond the camera on each side
  int grid_x = 0, grid_y = 0;
  Spectrum protein;    ///< phase of undamaged protein
  Spectrum still;      ///< phase of what neither decays nor wobbles: carbon, crystals
  Image transparency;  ///< nx × ny, mean near 1; illumination and absorption
  Ice ice;
};

/// Draws the area. @param margin  at least the farthest movement
[[nodiscard]] Area draw_area(const Scene& scene, const std::vector<Specimen>& specimens, int index, int margin);

/// Contrast on the padded grid of a phase spectrum (which is used up); with a tilted specimen the defocus follows the
/// height in slabs of 400 Å.
[[nodiscard]] Image contrast_of(const Area& area, Spectrum phase);

}  // namespace frazil::sim
