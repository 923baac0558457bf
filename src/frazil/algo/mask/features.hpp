// What a mask is made from: the micrograph on a coarse grid, local means, energies and robust scores; internal to the
// folder.
#pragma once

#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::mask {

/// Means of blocks; blocks without a finite pixel take the median. Clipped at 8 robust standard deviations.
/// @throws Error(bad_input) when more than half of the blocks hold no finite pixel
[[nodiscard]] Image cells_of(const Image& image, double block);
/// Gaussian mean over the cells that are open; 0 far from any.
[[nodiscard]] Image local_mean(const Image& image, const std::vector<char>& open, double sigma);
[[nodiscard]] Image minus(const Image& a, const Image& b);
/// Log of the local mean square.
[[nodiscard]] Image log_energy(const Image& image, const std::vector<char>& open, double sigma);
/// Distance of each open cell from their median, in robust standard deviations; 0 where not open.
[[nodiscard]] std::vector<float> robust_scores(const Image& image, const std::vector<char>& open);

/// How much an aggregate would stand out: more contrast on the scale of particles than particles have, and darker than
/// the surroundings.
struct AggregateSigns {
  std::vector<float> energy, darkness;
};
[[nodiscard]] AggregateSigns aggregate_signs(const Image& cells, const std::vector<char>& open, double diameter);

}  // namespace frazil::mask
