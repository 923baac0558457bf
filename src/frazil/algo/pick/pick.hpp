// Finds particles of a given diameter in a micrograph: blob detector, then a template made from the micrograph itself.
#pragma once

#include <vector>

#include "frazil/algo/pick/backend.hpp"
#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::pick {

/// The blob detector that makes the first guess.
enum class Method {
  log,  ///< Laplacian of a Gaussian
  dog   ///< difference of Gaussians (Voss et al. 2009, doi:10.1016/j.jsb.2009.01.004)
};
constexpr auto names_of(Method) { return std::array{"log", "dog"}; }
enum class Contrast { dark, bright };
constexpr auto names_of(Contrast) { return std::array{"dark", "bright"}; }

struct PickParams {
  Angstrom diameter{};
  Method method = Method::log;
  bool refine_template = true;
  double noise_picks = 2;
  double threshold_shift = 0;
  Angstrom min_distance{};
  Angstrom border{};
  int max_count = 0;
  Contrast contrast = Contrast::dark;

  static constexpr auto fields() {
    using P = PickParams;
    return std::tuple(
        field(&P::diameter, "diameter", "Longest diameter of the particle").range(20_A, 5000_A).required(),
        field(&P::method, "method", "Blob detector: Laplacian or difference of Gaussians"),
        field(&P::refine_template, "refine_template", "Pick again with the rotational average of the best first picks"),
        field(&P::noise_picks, "noise_picks", "Maxima of pure noise accepted in one micrograph; sets the threshold")
            .range(0.001, 1000),
        field(&P::threshold_shift, "threshold_shift",
              "Added to the automatic threshold, in standard deviations of the noise")
            .range(-10, 100),
        field(&P::min_distance, "min_distance", "Smallest distance between picks; 0: 0.6 diameters")
            .range(0_A, 10000_A)
            .advanced(),
        field(&P::border, "border", "Margin without picks; 0: half a diameter").range(0_A, 10000_A).advanced(),
        field(&P::max_count, "max_count", "Most picks of one micrograph, best first; 0: no limit")
            .range(0, 1000000)
            .advanced(),
        field(&P::contrast, "contrast", "Particles are dark (as recorded) or bright").advanced());
  }
};

struct Pick {
  double x = 0, y = 0;  ///< centre in pixels of the micrograph
  double score = 0;     ///< response in standard deviations of the noise's response
};

struct PickResult {
  std::vector<Pick> picks;      ///< best first
  double threshold = 0;         ///< in the unit of the score
  int candidates = 0;           ///< local maxima looked at
  int outliers = 0;             ///< picks dropped as ice, carbon or aggregate
  std::vector<double> profile;  ///< radial profile of the template, one value a working pixel; empty without refinement
  Angstrom working_pixel{};
};

/// Finds the particles of one micrograph.
///
/// @param micrograph  any scale and offset; pixels that are not finite are filled in
/// @param excluded    not 0 where nothing is to be picked (see algo/mask), of any sampling over the same field; null:
/// none
/// @return            picks in order of falling score; none is a result, not an error
/// @throws Error(bad_input) when the micrograph is smaller than two diameters, has no contrast, or is mostly not finite
///
/// Method: the micrograph is resampled to 32 pixels a diameter and freed of slow changes; maxima of the response to a
/// Laplacian of a Gaussian matched to the diameter are the first picks. The radial median profile of the best of them
/// is the rotationally symmetric (zero order) eigenimage of the particle with its CTF, and is found again by
/// correlation normalised with the local variance (Roseman 2003, doi:10.1016/S0304-3991(02)00304-5), twice. The
/// threshold is the height above which a Gaussian field with the smoothness measured on the response itself has
/// `noise_picks` maxima (Adler 1981; Longuet-Higgins 1957), with the field's scatter taken from its lower half,
/// which particles hardly touch. Cost: one FFT of the micrograph and about 20 of the working image.
[[nodiscard]] PickResult pick(const Image& micrograph, const PickParams& params, const Image* excluded = nullptr,
                              const Backend& backend = cpu_backend());

}  // namespace frazil::pick
