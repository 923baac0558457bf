// Everyday operations on images: statistics, Fourier crop and pad, shifts, band-pass, rotational averages, masks.
#pragma once

#include <functional>
#include <vector>

#include "frazil/image/fft.hpp"

namespace frazil {

struct Statistics {
  double mean = 0, stddev = 0, min = 0, max = 0;
  std::size_t not_finite = 0;  ///< NaN and infinite pixels; left out of the other numbers
};
[[nodiscard]] Statistics statistics(ImageView image);
[[nodiscard]] Statistics statistics(std::span<const float> values);
/// Value below which `fraction` of the finite pixels lie (a sample of at most 65,536 evenly spaced pixels).
[[nodiscard]] double quantile(ImageView image, double fraction);

/// Copy of a rectangle; what lies outside the source becomes `fill`.
[[nodiscard]] Image crop(ImageView source, int x0, int y0, int nx, int ny, float fill, Angstrom pixel_size);
/// Changes the sampling by cropping (or zero-padding) the Fourier transform. Pixel values keep their scale: the
/// mean stays. The field of view is kept, so pixel_size becomes pixel_size × nx / new nx.
[[nodiscard]] Spectrum fourier_resize(const Spectrum& spectrum, int nx, int ny);
[[nodiscard]] Image fourier_resize(const Image& image, int nx, int ny);
[[nodiscard]] Volume fourier_resize(const Volume& volume, int n);
/// Moves the content by (+dx_px, +dy_px), periodic, by a phase ramp.
void fourier_shift(Spectrum& spectrum, double dx_px, double dy_px);
/// Sum of b × b blocks divided by b²; the remainder at the far edges is left out.
[[nodiscard]] Image bin(ImageView image, int factor, Angstrom pixel_size);

/// Multiplies each component by gain(k), k in 1/Å.
void filter(Spectrum& spectrum, const std::function<double(double k_per_A)>& gain);
/// Raised-cosine band-pass: 0 below `low`, 1 between, 0 above `high` (resolutions in Å; low = 0 switches that side
/// off), each edge `edge` wide as a fraction of its frequency.
[[nodiscard]] Image band_pass(const Image& image, Angstrom low_resolution, Angstrom high_resolution, double edge = 0.1);

/// The image as people look at it: at most `side` pixels wide, low-passed to `resolution` where the pixels are finer
/// than that.
[[nodiscard]] Image thumbnail(const Image& image, int side, Angstrom resolution = 20_A);

/// Subtracts the mean and divides by the standard deviation of the pixels outside `radius_px` of the centre.
void normalise_background(Image& image, double radius_px);
/// Subtracts the least-squares plane.
void remove_plane(Image& image);
/// 1 inside radius, 0 outside radius + edge, cosine between.
[[nodiscard]] Image soft_disc(int n, double radius_px, double edge_px, Angstrom pixel_size = 1_A);
[[nodiscard]] Volume soft_ball(int n, double radius_px, double edge_px, Angstrom pixel_size = 1_A);

/// Pearson correlation; 0 when either is constant.
[[nodiscard]] double correlation(std::span<const float> a, std::span<const float> b);

}  // namespace frazil
