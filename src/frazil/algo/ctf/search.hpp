// Search over all defoci and astigmatisms at once: where the rings could be, best guesses first.
#pragma once

#include "frazil/algo/ctf/rings.hpp"

namespace frazil::ctf {

struct SearchRange {
  double min_defocus = 2000, max_defocus = 60000, max_astigmatism = 4000;  ///< Å
  bool phase_shift = false;
};

struct Candidate {
  Shape shape;
  double strength = 0;  ///< matched-filter output, in units of the noise of one pixel
};

/// Matched filter in sectors: the background-free radial profile of each sector is correlated with −cos 2χ at every
/// defocus, for several envelopes; the sectors' outputs are then added along every curve Δf(α) = Δf + ½A cos 2(α − α₀).
/// With `phase_shift` a quadrature pair finds the phase of each in closed form.
///
/// @return up to `count` local maxima at different defoci, strongest first; never empty
[[nodiscard]] std::vector<Candidate> search(const Rings& rings, const Waves& waves, const SearchRange& range,
                                            int count);

}  // namespace frazil::ctf
