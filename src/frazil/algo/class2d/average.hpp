// Class averages at the full sampling of the particle stacks, with their resolution.
#pragma once

#include <functional>

#include <vector>

#include "frazil/algo/class2d/model.hpp"

namespace frazil::class2d {

struct ClassAverage {
  Image image;              ///< box × box, Wiener filtered, not masked
  Angstrom resolution{};    ///< where the signal-to-noise ratio of the average falls below 1 (half-set FRC 1/3)
  std::vector<double> frc;  ///< of the half sets inside the circular mask, entry i at i Fourier pixels
  int count = 0;
};

/// Averages each class over its members, or over the `most` most probable ones: particles moved and turned back by
/// cubic convolution in real space after multiplication by their CTF, divided by the sum of turned CTF² and the inverse
/// signal-to-noise ratio found from half sets. Entry k belongs to class k; empty classes give an empty (zero) image.
/// @param check_cancelled  called from any thread for every particle; throws to cancel
[[nodiscard]] std::vector<ClassAverage> average_classes(const State& state, const ParticleSet& particles, int most,
                                                        int threads, const std::function<void()>& check_cancelled = {});

}  // namespace frazil::class2d
