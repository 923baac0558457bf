// Regions of a micrograph that hold no usable particles: carbon, ice crystals, aggregates; found by classical features.
#pragma once

#include <cstdint>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::mask {

/// What a region was taken for; stored as the pixel values of a mask file.
enum class Cover : std::uint8_t { none = 0, carbon = 1, crystal = 2, aggregate = 3 };

struct MaskParams {
  Angstrom feature_size = 150_A;
  bool find_carbon = true;
  double strength = 6;
  double grow = 0.1;

  static constexpr auto fields() {
    using P = MaskParams;
    return std::tuple(
        field(&P::feature_size, "feature_size", "Diameter of the particles: what is not clearly larger is kept")
            .range(20_A, 5000_A),
        field(&P::find_carbon, "find_carbon", "Look for an edge of carbon film; off for continuous support films"),
        field(&P::strength, "strength",
              "How far a region must stand out of its surroundings, in robust standard deviations")
            .range(2, 100),
        field(&P::grow, "grow", "Regions are widened by this part of a diameter").range(0, 5).advanced());
  }
};

/// A mask on a coarse grid over the whole micrograph.
struct Mask {
  int nx = 0, ny = 0;
  std::vector<std::uint8_t> cover;  ///< Cover of each cell, x fast
  double scale_x = 1, scale_y = 1;  ///< micrograph pixels a cell

  [[nodiscard]] Cover at(int x, int y) const {
    return static_cast<Cover>(
        cover[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx) + static_cast<std::size_t>(x)]);
  }
  /// Share of cells taken for `what`; none: of all that is masked.
  [[nodiscard]] double fraction(Cover what = Cover::none) const;
};

/// @param micrograph  particles dark or bright, any scale
/// @return cells of about a twelfth of a diameter
/// @throws Error(bad_input) when the micrograph is smaller than two diameters, constant, or mostly not finite
///
/// Method. On the micrograph at a twelfth of a diameter a pixel: (1) the two-region model of Chan & Vese 2001
/// (doi:10.1109/83.902291), again on what is left, as long as the darker region is bounded sharply: the mean steps
/// within a diameter of the border, by more than 5 times its scatter there, rather than drifts as in ice of varying
/// thickness. Carbon if it is also rougher and reaches the rim, else a crystal (or a hole in the ice). (2) local level
/// beyond `strength` robust standard deviations: smaller crystals. (3) local energy on the scale of particles and
/// darkness on the scale of several, together: aggregates. Regions of (2) and (3) are traced down to half of that
/// strength and must be larger than a particle.
[[nodiscard]] Mask find_mask(const Image& micrograph, const MaskParams& params = {});

}  // namespace frazil::mask
