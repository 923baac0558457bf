// Parameters of 2D classification.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil::class2d {

struct Params {
  int classes = 0;
  Angstrom diameter = 0_A;
  Angstrom start_resolution = 30_A;
  Angstrom resolution = 8_A;
  Angstrom shift_range = 0_A;
  int epochs = 12;
  int final_passes = 2;
  int revisit = 2;
  bool background_classes = true;

  static constexpr auto fields() {
    using P = Params;
    return std::tuple(
        field(&P::classes, "classes", "Number of classes; 0: one for 60 particles, at most 50").range(0, 500),
        field(&P::diameter, "diameter", "Diameter of the circular mask; 0: the particles' own").range(0_A, 3000_A),
        field(&P::start_resolution, "start_resolution", "Resolution at which the search begins").range(5_A, 200_A),
        field(&P::resolution, "resolution", "Finest resolution used to compare particles and classes").range(2_A, 60_A),
        field(&P::shift_range, "shift_range", "Largest shift tried; 0: an eighth of the diameter").range(0_A, 500_A),
        field(&P::epochs, "epochs", "How often the first batch is gone through in mini-batches")
            .range(1, 200)
            .advanced(),
        field(&P::final_passes, "final_passes", "Passes over all particles that end each batch")
            .range(1, 20)
            .advanced(),
        field(&P::revisit, "revisit", "Earlier particles gone through again for each new one").range(0, 100).advanced(),
        field(
            &P::background_classes, "background_classes",
            "Two more classes, the first ones, gather images without signal and images much stronger than the averages")
            .advanced());
  }
};

/// Classes beside those of particles, if asked for: images without signal, and much stronger ones.
inline constexpr int background_classes = 2;

/// Two a class; without a number of classes there is one of particles at least.
[[nodiscard]] inline int fewest_particles(const Params& params) {
  return 2 * (std::max(1, params.classes) + (params.background_classes ? background_classes : 0));
}

/// Problems that lie between fields.
[[nodiscard]] inline std::vector<std::string> check(const Params& params) {
  if (params.start_resolution < params.resolution) return {"start_resolution must not be finer than resolution"};
  return {};
}

}  // namespace frazil::class2d
