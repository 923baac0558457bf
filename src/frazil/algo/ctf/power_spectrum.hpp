// Power spectrum of a micrograph by averaged tiles, and from saved amplitude spectra.
#pragma once

#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::ctf {

/// |F|² averaged over tiles: n × n with n even, zero frequency at (n/2, n/2), Nyquist at 1 / (2 pixel_size).
struct PowerSpectrum {
  Image power;
  Angstrom pixel_size = 1_A;
  double relative_variance = 0;  ///< variance over squared mean of one pixel, as the tiles make expect; 0: unknown
};

/// Power spectrum of a part of a micrograph.
struct RegionSpectrum {
  std::vector<float> half;  ///< rows −n/2 … n/2 − 1 of columns 0 … n/2, mean of the tiles that were used
  double x_A = 0, y_A = 0;  ///< mean centre of its tiles from the middle of the image
  int tiles = 0;
};

struct TileParams {
  int box = 512;                ///< side of the result, even
  Angstrom pixel_size = 1.4_A;  ///< finer images are resampled to this; coarser ones are taken as they are
  int threads = 1;
};

/// Tiles with 50 % overlap, mean removed, Hann-apodised. An image finer than `params.pixel_size` is cut into larger
/// tiles whose spectra are cropped, which equals Fourier resampling first; a small image is cut into smaller ones.
/// Single pixels beyond 30 standard deviations (hot ones, cosmic rays) are taken as the mean of the image.
/// Tiles that hold a pixel that is not finite, or that are constant, are left out. An image of fewer than seven tiles
/// along a side is also transformed as a whole, with a narrow taper, and its power averaged over the pixels of the
/// spectrum: windows of tiles waste what lies near the edges, 44 % of 1024² pixels in tiles of 512. White noise of
/// variance σ² has the power σ².
///
/// @throws Error(bad_input) if the image is narrower than 64 pixels or no tile is usable
/// Method: Welch 1967, doi:10.1109/TAU.1967.1161901.
/// @param regions  gets the spectra of up to 4 × 4 parts of the image, when given
[[nodiscard]] PowerSpectrum power_spectrum(ImageView image, Angstrom pixel_size, const TileParams& params = {},
                                           std::vector<RegionSpectrum>* regions = nullptr);

/// From an amplitude spectrum as RELION's motion correction saves it (`*_PS.mrc`): square, even, zero frequency in the
/// middle, Nyquist at 1 / (2 pixel_size). @throws Error(bad_input) if it is not square, odd or not finite
[[nodiscard]] PowerSpectrum from_amplitude(ImageView amplitude, Angstrom pixel_size);

}  // namespace frazil::ctf
