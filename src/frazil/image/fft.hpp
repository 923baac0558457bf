// Fourier transforms of real images and volumes. Forward is unscaled, inverse divides by the number of pixels.
#pragma once

#include "frazil/image/image.hpp"

namespace frazil {

/// F(k) = Σ f(x) exp(−2πi k·x/n). Single-threaded and re-entrant; plans are cached by length inside the library.
/// Only lengths with prime factors up to 11 are fast: see good_size.
[[nodiscard]] Spectrum fft(ImageView image, Angstrom pixel_size = 1_A);
[[nodiscard]] inline Spectrum fft(const Image& image) { return fft(image.view(), image.pixel_size); }
/// Inverse of fft; the imaginary part of what is self-conjugate is ignored.
[[nodiscard]] Image ifft(const Spectrum& spectrum);
/// Into memory that the caller keeps; `out` must have the right size.
void fft_into(ImageView image, Spectrum& out);
void ifft_into(const Spectrum& spectrum, Image& out);

[[nodiscard]] VolumeSpectrum fft(const Volume& volume);
[[nodiscard]] Volume ifft(const VolumeSpectrum& spectrum);

/// Complex transform of `count` contiguous rows of `n` values, in place.
/// Forward: exp(−2πi), unscaled; inverse: exp(+2πi), divided by n.
void fft_rows(std::complex<float>* data, int n, int count);
void ifft_rows(std::complex<float>* data, int n, int count);

/// Smallest even length ≥ n whose prime factors are 2, 3, 5.
[[nodiscard]] int good_size(int n);

}  // namespace frazil
