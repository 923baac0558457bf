// Specimens as clouds of scatterers, and their exact projections: the phase shift they give to the electron wave.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "frazil/base/random.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::sim {

/// Orientation after conventions.md, "Orientations".
struct Pose {
  Degrees rot{}, tilt{}, psi{};
};

/// Uniform over all rotations.
[[nodiscard]] Pose random_pose(Rng& rng);
/// Rows of A = R_z(psi) R_y(tilt) R_z(rot).
[[nodiscard]] std::array<std::array<double, 3>, 3> rotation_of(const Pose& pose);

/// amplitude · exp(−b k²/4) in Fourier space, amplitude in Å; in projection (4π/b) exp(−4π² r²/b).
struct GaussianTerm {
  double amplitude = 0, b_A2 = 0;
};

/// A cloud of point scatterers. Each scatters weight[0] · f₀(k) + weight[1] · f₁(k) (electron scattering lengths in Å,
/// the displaced solvent taken off), f being sums of Gaussians; beyond `k_max_per_A` it scatters nothing.
struct Specimen {
  struct Scatterer {
    double x = 0, y = 0, z = 0;  ///< Å from the centre of mass (the box centre for a map)
    std::array<double, 2> weight{};
  };
  std::string name;
  std::vector<Scatterer> scatterers;
  std::array<std::vector<GaussianTerm>, 2> form;
  double k_max_per_A = 1e9;
  double radius_A = 0;  ///< farthest scatterer from the centre
  double mass_kDa = 0;

  /// f₀ or f₁ at k.
  [[nodiscard]] double form_factor(int which, double k_per_A) const;
  [[nodiscard]] Angstrom diameter() const { return Angstrom(2 * radius_A); }
};

/// Reads a PDB or mmCIF file (gzip allowed), all chains of the first model. Electron scattering factors from the
/// International Tables C, table 4.3.2.2; hydrogens that the model lacks are added in the mean; displaced water as
/// Gaussians of the atoms' volumes (Fraser, MacRae & Suzuki 1978, doi:10.1107/S0021889878014296) with 0.93 g/cm³.
/// @throws Error(not_found|corrupt) naming the file
[[nodiscard]] Specimen read_model(const std::filesystem::path& path);
/// Reads a model shipped with the program: "5a1a" (beta-galactosidase, 465 kDa, D2), "1oel" (one GroEL ring, 400 kDa),
/// "4v1w" (apoferritin, 480 kDa). Looks in $FRAZIL_DATA/models, then in data/models of the source tree.
[[nodiscard]] Specimen shipped_model(const std::string& name);
/// Every voxel above `threshold` becomes a scatterer; the mean of those voxels is taken as 3.5 V above the solvent.
/// Band-limited at the map's Nyquist frequency.
[[nodiscard]] Specimen from_map(const Volume& map, double threshold, const std::string& name);
/// An asymmetric made-up protein of `mass` kDa: balls of carbon-like scatterers in one random walk. For tests that read
/// no file.
[[nodiscard]] Specimen made_up(std::uint64_t seed, double mass_kDa = 300);

/// Phase shift (radians) of the electron wave behind a specimen, as Fourier transforms of n × n images.
///
/// Non-uniform Fourier sum Σ w_j f(k) exp(−2πi k·x_j): the scatterers are spread by a Gaussian of 0.9 pixel over a
/// twice finer grid, transformed, and the Gaussian divided out; against the direct double sum the relative error is
/// below 1e-4 (tested).
class Projector {
 public:
  /// @param voltage  sets the interaction: phase = λ γ Σ f
  Projector(const Specimen& specimen, int box, Angstrom pixel_size, Kilovolt voltage);

  /// Spectrum of the phase image of the specimen turned by `pose` with its centre at pixel (box/2 + x_px, box/2 +
  /// y_px). Re-entrant. Cost: 200 flops an atom and two transforms of (2 box)².
  [[nodiscard]] Spectrum spectrum(const Pose& pose, double x_px, double y_px) const;
  [[nodiscard]] int box() const { return box_; }

 private:
  const Specimen* specimen_;
  int box_;
  Angstrom pixel_size_;
  std::array<std::vector<float>, 2> gain_;  ///< λγ f(k) / spreading kernel / pixel area, on the half spectrum
};

/// The same image by the direct double sum of two-dimensional Gaussians, each widened by `b_factor`; slow, for tests.
[[nodiscard]] Image project_direct(const Specimen& specimen, const Pose& pose, int box, Angstrom pixel_size,
                                   Kilovolt voltage, Angstrom2 b_factor, double x_px, double y_px);

/// Box in pixels that holds the specimen in any orientation with a margin of 10 Å a side; a good FFT length.
[[nodiscard]] int box_for(const Specimen& specimen, Angstrom pixel_size);
/// The specimen's density (potential in V above the solvent) on a grid, low-passed by exp(−B k²/4): the truth for FSC.
[[nodiscard]] Volume density(const Specimen& specimen, int box, Angstrom pixel_size, Angstrom2 b_factor);

}  // namespace frazil::sim
