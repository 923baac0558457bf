// Sets aside particle images that hold no particle, or something else: by thresholds from theory and robust statistics.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::extract {

struct ScreenParams {
  Angstrom diameter{};
  bool empty = true;
  double empty_sigmas = 3;
  double outlier_sigmas = 5;
  double dust_sigmas = 12;

  static constexpr auto fields() {
    using P = ScreenParams;
    return std::tuple(
        field(&P::diameter, "diameter", "Particle diameter; 0: the one extracted with").range(0_A, 5000_A),
        field(&P::empty, "empty", "Set aside images without a particle"),
        field(&P::empty_sigmas, "empty_sigmas",
              "Empty: matched-filter signal below so many standard deviations of the noise")
            .range(0, 100),
        field(
            &P::outlier_sigmas, "outlier_sigmas",
            "Outlier: background or particle stronger than the others' by so many robust standard deviations; 0: keep")
            .range(0, 1000),
        field(&P::dust_sigmas, "dust_sigmas",
              "Dust: a pixel so many standard deviations of the background off; 0: keep")
            .range(0, 1000)
            .advanced());
  }
};

enum class Reason { none, not_finite, dust, uneven_background, too_strong, empty };
inline constexpr std::array<std::string_view, 6> reason_names{"",           "not finite", "dust", "uneven background",
                                                              "too strong", "empty"};

/// Why one particle is set aside: what was measured and the limit it broke.
struct Verdict {
  Reason reason = Reason::none;
  double value = 0, limit = 0;
};

/// Judges the particles of one micrograph.
///
/// @param count      images, square and equal, normalised: background of mean 0 and standard deviation 1
/// @param read       gives image i; called from several threads
/// @param diameter   of the particle; the box must be larger
/// @return           one verdict an image; equal for any number of threads
/// @throws Error(bad_input) when the diameter is not positive or fills the box
///
/// All measures are taken on the image cropped in Fourier space to 16 pixels a diameter. *Empty*: the rotational
/// average of the micrograph's own particles is the matched filter; its amplitude in an image (1 for a typical
/// particle) is held against the scatter of the same filter turned into angular orders 3 and 5, to which a centred
/// particle contributes little. An image counts as empty when its amplitude is below both `empty_sigmas` of that
/// scatter and 0.4. With fewer than 8 particles, or where the filter finds no signal, an image is empty when its power
/// within the diameter does not exceed that outside by `empty_sigmas` standard errors of their log ratio (of white
/// noise: sqrt(2/n_in + 2/n_out)). *Outliers*: logarithm of the power inside and outside against median and spread of
/// all particles of the micrograph, one-sided; needs 10 particles.
[[nodiscard]] std::vector<Verdict> screen(std::size_t count, const std::function<Image(std::size_t)>& read,
                                          Angstrom diameter, const ScreenParams& params, int threads);

}  // namespace frazil::extract
