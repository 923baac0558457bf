// Cuts particles out of a micrograph: repair, phase flip, window, downsampling, normalisation, contrast.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "frazil/base/random.hpp"
#include "frazil/image/image.hpp"
#include "frazil/model/optics.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::extract {

struct ExtractParams {
  int box = 0;
  Angstrom diameter{};
  int downsampled_box = 0;
  Angstrom downsampled_pixel_size{};
  bool invert = true;
  bool normalise = true;
  Angstrom background_diameter{};
  bool phase_flip = false;
  double dust = 6;

  static constexpr auto fields() {
    using P = ExtractParams;
    return std::tuple(
        field(&P::box, "box", "Side of the box in pixels of the micrograph; 0: 1.5 diameters, rounded up")
            .range(0, 4096),
        field(&P::diameter, "diameter", "Particle diameter; 0: the one picked with").range(0_A, 5000_A),
        field(&P::downsampled_box, "downsampled_box",
              "Side after downsampling in pixels; 0: from the pixel size, or as cut")
            .range(0, 4096),
        field(&P::downsampled_pixel_size, "downsampled_pixel_size",
              "Pixel after downsampling; 0: from the box, or as cut")
            .range(0_A, 50_A),
        field(&P::invert, "invert", "Invert the contrast, so that protein is white"),
        field(&P::normalise, "normalise", "Remove a plane and scale the background to mean 0 and standard deviation 1"),
        field(&P::background_diameter, "background_diameter",
              "Outside of this circle is background; 0: the particle diameter")
            .range(0_A, 5000_A)
            .advanced(),
        field(&P::phase_flip, "phase_flip", "Flip the phases where the CTF is negative"),
        field(&P::dust, "dust", "Pixels further from the mean than so many standard deviations are replaced; 0: none")
            .range(0, 1000)
            .advanced());
  }
};
/// One sentence a contradiction between parameters.
[[nodiscard]] std::vector<std::string> check(const ExtractParams& params);

/// Sizes that follow from parameters, pixel size and diameter.
struct Geometry {
  int box = 0;                      ///< cut from the micrograph
  int output_box = 0;               ///< after downsampling
  Angstrom pixel_size{};            ///< after downsampling
  double background_radius_px = 0;  ///< in output pixels
};
/// @param picked_diameter  used when the parameters name none
/// @throws Error(bad_input) when no diameter is known and it is needed, or the sizes contradict each other
[[nodiscard]] Geometry geometry(const ExtractParams& params, Angstrom pixel_size, Angstrom picked_diameter);

struct Position {
  double x = 0, y = 0;
};  ///< particle centre in micrograph pixels

/// The CTF of the micrograph, where phases are to be flipped.
struct Lens {
  Ctf ctf;
  Optics optics;
};

/// What was cut: index of the position given, the pixel that became the box's centre, and the image.
struct Particle {
  std::size_t index = 0;
  int x = 0, y = 0;
  Image image;
};

struct Summary {
  int kept = 0;
  int outside = 0;          ///< box reaches over the edge
  int flat = 0;             ///< background without variation, which cannot be normalised
  int repaired_pixels = 0;  ///< dust and not finite
};

/// Cuts the particles in the order of `positions` and hands each to `sink`.
///
/// The box is centred on the pixel nearest to the position (no interpolation), so the coordinates to write are those of
/// the particle given to `sink`. Phases are flipped over the whole micrograph, before cutting, so that nothing that the
/// CTF has moved out of the box is lost. Downsampling crops the Fourier transform of the box.
/// Conventions: "CTF sign", "Centres". Images given to `sink` do not depend on `threads`.
/// @throws Error(bad_input) when the box is larger than the micrograph, or phases are to be flipped without a lens
Summary extract(const Image& micrograph, std::span<const Position> positions, const std::optional<Lens>& lens,
                const ExtractParams& params, const Geometry& geometry, Rng& rng, int threads,
                const std::function<void(Particle&&)>& sink);

/// Subtracts the plane that fits best outside `radius_px` of the centre, then scales what lies there to standard
/// deviation 1. Returns false, leaving the image as it is, when nothing lies there or it does not vary.
bool normalise(Image& image, double radius_px);

/// Replaces pixels that are not finite or further than `sigmas` robust standard deviations from the median by normal
/// random numbers about the mean of their sound neighbours. Returns how many; `sigmas` 0 looks only for not finite
/// ones.
/// @throws Error(bad_input) when more than half of the pixels are not finite
int repair(Image& image, double sigmas, Rng& rng);

/// Multiplies the transform by the sign of the CTF.
[[nodiscard]] Image flip_phases(const Image& image, const Lens& lens);

}  // namespace frazil::extract
