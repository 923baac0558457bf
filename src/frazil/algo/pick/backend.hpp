// The part of picking that a device may take over: correlations of an image with kernels.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::pick {

/// An image where a device computes. Several threads may ask at a time.
class Correlator {
 public:
  Correlator() = default;
  Correlator(const Correlator&) = delete;
  Correlator& operator=(const Correlator&) = delete;
  virtual ~Correlator() = default;
  /// Σ_y image(x + y) kernel(y) for each of the kernels, which lie around pixel (0, 0) of a periodic image of the same
  /// size.
  [[nodiscard]] virtual std::vector<Image> with(std::span<const Image> kernels) const = 0;
};

/// What computes. The same input gives the same bits at any time; what another backend gives may differ by rounding.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;
  /// Brings an image, which may go away afterwards, to where it is correlated.
  [[nodiscard]] virtual std::unique_ptr<Correlator> hold(const Image& image) const = 0;
};

/// This program's own code.
[[nodiscard]] const Backend& cpu_backend();
/// The same by Fourier transforms by definition, in double precision.
[[nodiscard]] const Backend& reference_backend();

}  // namespace frazil::pick
