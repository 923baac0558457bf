// Responses of a working image to rotationally symmetric kernels, their maxima, and the height noise alone reaches.
#pragma once

#include <functional>
#include <vector>

#include "frazil/algo/pick/backend.hpp"
#include "frazil/algo/pick/pick.hpp"
#include "frazil/algo/pick/working_image.hpp"

namespace frazil::pick {

/// Value of a kernel at a distance from its centre, in working pixels.
using RadialKernel = std::function<double(double r_px)>;

/// Positive blob of the diameter: the Laplacian of a Gaussian whose zero crossing, or the difference of two Gaussians
/// whose inner one, follows the edge of a disc.
[[nodiscard]] RadialKernel blob_kernel(Method method, double diameter_px);

struct LocalMoments {
  Image mean, variance;
};

/// An image and what it responds with to kernels.
class Responses {
 public:
  Responses(const Image& image, const Backend& backend);
  /// Correlation with a kernel made zero-mean and of unit norm over the image.
  [[nodiscard]] Image to(const RadialKernel& kernel) const;
  /// Correlation coefficient of a radial profile (linear between values at 0, 1, 2 … px, cut off after the last) with
  /// the image under it, −1 to 1. Where the image is flatter than half its usual local variance, that is used instead.
  [[nodiscard]] Image normalised(const std::vector<double>& profile) const;
  /// Mean and variance of the image within `radius_px` of each pixel.
  [[nodiscard]] LocalMoments local_moments(double radius_px) const;

 private:
  int nx_, ny_;
  std::unique_ptr<Correlator> image_, squared_;
};

/// What the response would be without particles, and how high its maxima then reach.
struct NoiseLevel {
  double mean = 0, sigma = 1, threshold = 0;
};
/// @param where   pixels that count
/// @param maxima  expected number of maxima above the threshold among them when nothing is there
[[nodiscard]] NoiseLevel noise_level(const Image& response, const Mask& where, double maxima);

/// A maximum of a response, in working pixels.
struct Peak {
  double x = 0, y = 0, height = 0;
};
/// Local maxima in falling order, none nearer than `distance_px` to a higher one; centres by a parabola on each axis.
[[nodiscard]] std::vector<Peak> find_peaks(const Image& response, const Mask& where, double distance_px);

/// Median over the peaks of each one's rotational average, at 0, 1, … radius pixels; empty when no peak has room.
[[nodiscard]] std::vector<double> radial_profile(const Image& image, std::span<const Peak> peaks, int radius_px);

}  // namespace frazil::pick
