// Fourier shell correlation of two maps, and filters that follow from it.
#pragma once

#include <optional>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::recon {

/// FSC of shell s = 0 … box/2 − 1 (index units; shell s holds round(|k|) == s).
struct Fsc {
  int box = 0;
  Angstrom pixel_size = 1_A;
  bool masked = false;
  std::vector<double> values;

  [[nodiscard]] Angstrom resolution(double shell) const { return pixel_size * (box / shell); }
  static constexpr auto fields() {
    using P = Fsc;
    return std::tuple(field(&P::box, "box", "Side of the maps in voxels"), field(&P::pixel_size, "pixel_size", "Voxel"),
                      field(&P::masked, "masked", "Maps were multiplied by a mask first"),
                      field(&P::values, "fsc", "Correlation of each shell, from zero frequency on"));
  }
};

/// FSC(s) = Re Σ F₁F₂* / √(Σ|F₁|² Σ|F₂|²), Harauz & van Heel 1986. Both maps are cubes of one size.
/// @param mask multiplied to both maps first; null: none
[[nodiscard]] Fsc fourier_shell_correlation(const Volume& a, const Volume& b, const Volume* mask = nullptr);

/// Resolution at which the curve first falls below `threshold`, interpolated between shells; empty when it stays
/// above up to Nyquist. A curve that starts below gives the resolution of shell 1.
[[nodiscard]] std::optional<Angstrom> fsc_at(const Fsc& curve, double threshold);

/// Keeps frequencies up to `resolution`, with a cosine edge two shells wide centred there.
[[nodiscard]] Volume low_pass(const Volume& volume, Angstrom resolution);
/// Low-pass by amplitude weights of each shell, 0 … (missing shells become zero), interpolated between shells.
[[nodiscard]] Volume weight_shells(const Volume& volume, const std::vector<double>& weights);

/// Pearson correlation of the voxels, each counted with its mask value (1 everywhere when null).
[[nodiscard]] double masked_correlation(const Volume& a, const Volume& b, const Volume* mask = nullptr);

/// 1 where the low-passed map exceeds `threshold`, with a cosine edge `edge` wide around.
/// @param threshold in units of the map
[[nodiscard]] Volume soft_mask(const Volume& map, double threshold, Angstrom edge);

/// Largest sphere free of corners: 1 inside `diameter`, cosine edge of `edge` outside.
[[nodiscard]] Volume ball_mask(int box, Angstrom pixel_size, Angstrom diameter, Angstrom edge);

}  // namespace frazil::recon
