// Particles handed to 2D classification: images on demand, CTF and optics in memory.
#pragma once

#include <functional>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/model/optics.hpp"

namespace frazil::class2d {

struct ParticleSet {
  int box = 0;  ///< pixels
  Angstrom pixel_size = 1_A;
  std::vector<Ctf> ctf;        ///< one for each particle
  std::vector<Optics> optics;  ///< one for each particle
  bool phase_flipped = false;  ///< images were multiplied by the sign of their CTF
  /// Box × box image, background of mean 0 and standard deviation 1, protein bright. Called from several threads.
  std::function<Image(std::size_t)> image;

  [[nodiscard]] std::size_t count() const { return ctf.size(); }
};

}  // namespace frazil::class2d
