// Fourier transforms of real images and volumes. Forward is unscaled, inverse divides by the number of pixels.
#pragma once

#include "frazil/image/image.hpp"

namespace frazil {

/// F(k) = Σ f(x) exp(−2πi k·x/n). Re-entrant; plans are cached by length inside the library. Rows, then blocks of
/// columns, are shared among `threads`; the result is the same for any number. Only lengths with prime factors up to 11
/// are fast: see good_size.
[[nodiscard]] Spectrum fft(ImageView image, Angstrom pixel_size = 1_A, int threads = 1);
[[nodiscard]] inline Spectrum fft(const Image& image, int threads = 1) {
  return fft(image.view(), image.pixel_size, threads);
}
/// The frequencies of an nx × ny image out of the transform of a larger one, unscaled; what is left out is not
/// computed. nx and ny are even, or the sides of the image. @param pixel_size  of the result
[[nodiscard]] Spectrum fft_cropped(ImageView image, int nx, int ny, Angstrom pixel_size, int threads = 1);
/// Inverse of fft; the imaginary part of what is self-conjugate is ignored.
[[nodiscard]] Image ifft(const Spectrum& spectrum, int threads = 1);
/// The same, and uses the spectrum as its scratch.
[[nodiscard]] Image ifft(Spectrum&& spectrum, int threads = 1);
/// Into memory that the caller keeps; `out` must have the right size.
void fft_into(ImageView image, Spectrum& out, int threads = 1);
void ifft_into(const Spectrum& spectrum, Image& out, int threads = 1);

[[nodiscard]] VolumeSpectrum fft(const Volume& volume);
[[nodiscard]] Volume ifft(const VolumeSpectrum& spectrum);

/// Complex transform of `count` contiguous rows of `n` values, in place.
/// Forward: exp(−2πi), unscaled; inverse: exp(+2πi), divided by n.
void fft_rows(std::complex<float>* data, int n, int count);
void ifft_rows(std::complex<float>* data, int n, int count);

/// Smallest even length ≥ n whose prime factors are 2, 3, 5.
[[nodiscard]] int good_size(int n);

}  // namespace frazil
