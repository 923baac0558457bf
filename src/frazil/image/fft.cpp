#include "frazil/image/fft.hpp"

#include <gemmi/third_party/pocketfft_hdronly.h>

#include <algorithm>

#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft_part.hpp"

namespace frazil {
namespace {

using pocketfft::shape_t;
using pocketfft::stride_t;
constexpr std::ptrdiff_t real_bytes = sizeof(float);
constexpr std::ptrdiff_t complex_bytes = sizeof(std::complex<float>);

stride_t strides(std::ptrdiff_t unit, std::ptrdiff_t row, std::ptrdiff_t section = 0) {
  if (section == 0) return {row * unit, unit};
  return {section * unit, row * unit, unit};
}

constexpr int rows_a_turn = 32, columns_a_turn = 64;

int turns(int n, int a_turn) { return (n + a_turn - 1) / a_turn; }

/// Transforms of the first `used` columns of a block of `rows` rows, in place.
void transform_columns(std::complex<float>* data, int columns, int rows, int used, bool forward, float scale,
                       int threads) {
  parallel_for(threads, z(turns(used, columns_a_turn)), [&](std::size_t turn) {
    const int from = static_cast<int>(turn) * columns_a_turn, n = std::min(columns_a_turn, used - from);
    pocketfft::c2c<float>({z(rows), z(n)}, strides(complex_bytes, columns), strides(complex_bytes, columns), {0},
                          forward, data + from, data + from, scale);
  });
}

void rows_to_complex(ImageView image, std::complex<float>* out, int columns, int threads) {
  parallel_for(threads, z(turns(image.ny, rows_a_turn)), [&](std::size_t turn) {
    const int from = static_cast<int>(turn) * rows_a_turn, n = std::min(rows_a_turn, image.ny - from);
    pocketfft::r2c<float>({z(n), z(image.nx)}, strides(real_bytes, image.stride), strides(complex_bytes, columns),
                          std::size_t{1}, pocketfft::FORWARD, image.row(from),
                          out + static_cast<std::ptrdiff_t>(from) * columns, 1.0F);
  });
}

void rows_to_real(const std::complex<float>* in, int columns, Image& out, int threads) {
  const float scale = 1.0F / static_cast<float>(out.size());
  parallel_for(threads, z(turns(out.ny(), rows_a_turn)), [&](std::size_t turn) {
    const int from = static_cast<int>(turn) * rows_a_turn, n = std::min(rows_a_turn, out.ny() - from);
    pocketfft::c2r<float>({z(n), z(out.nx())}, strides(complex_bytes, columns), strides(real_bytes, out.nx()),
                          std::size_t{1}, pocketfft::BACKWARD, in + static_cast<std::ptrdiff_t>(from) * columns,
                          out.row(from), scale);
  });
}

}  // namespace

void fft_into(ImageView image, Spectrum& out, int threads) { fft_columns_into(image, out, out.columns(), threads); }

void fft_columns_into(ImageView image, Spectrum& out, int columns, int threads) {
  expect(out.nx() == image.nx && out.ny() == image.ny, "spectrum has the sides of the image");
  expect(columns <= out.columns(), "no more columns are wanted than there are");
  if (out.size() == 0) return;
  rows_to_complex(image, out.data(), out.columns(), threads);
  transform_columns(out.data(), out.columns(), out.ny(), columns, pocketfft::FORWARD, 1.0F, threads);
}

Spectrum fft(ImageView image, Angstrom pixel_size, int threads) {
  Spectrum out(image.nx, image.ny, pixel_size);
  fft_into(image, out, threads);
  return out;
}

Spectrum fft_cropped(ImageView image, int nx, int ny, Angstrom pixel_size, int threads) {
  expect(nx <= image.nx && ny <= image.ny, "a crop is not larger than the whole");
  if (nx == image.nx && ny == image.ny) return fft(image, pixel_size, threads);
  Spectrum out(nx, ny, pixel_size);
  // Rows of a few at a time, of which only the columns that stay are kept.
  const int columns = out.columns();
  AlignedVector<std::complex<float>> kept(z(columns) * z(image.ny));
  parallel_for(threads, z(turns(image.ny, rows_a_turn)), [&](std::size_t turn) {
    const int from = static_cast<int>(turn) * rows_a_turn, n = std::min(rows_a_turn, image.ny - from),
              whole = image.nx / 2 + 1;
    AlignedVector<std::complex<float>> rows(z(n) * z(whole));
    pocketfft::r2c<float>({z(n), z(image.nx)}, strides(real_bytes, image.stride), strides(complex_bytes, whole),
                          std::size_t{1}, pocketfft::FORWARD, image.row(from), rows.data(), 1.0F);
    for (int y = 0; y < n; ++y)
      std::copy_n(rows.data() + z(y) * z(whole), columns, kept.data() + z(from + y) * z(columns));
  });
  transform_columns(kept.data(), columns, image.ny, columns, pocketfft::FORWARD, 1.0F, threads);
  for (int ky = -((ny - 1) / 2); ky <= ny / 2; ++ky)
    std::copy_n(kept.data() + z(ky >= 0 ? ky : ky + image.ny) * z(columns), columns, out.row(ky >= 0 ? ky : ky + ny));
  return out;
}

Image ifft(Spectrum&& spectrum, int threads) {
  Image out(spectrum.nx(), spectrum.ny(), spectrum.pixel_size);
  if (spectrum.size() == 0) return out;
  transform_columns(spectrum.data(), spectrum.columns(), spectrum.ny(), spectrum.columns(), pocketfft::BACKWARD, 1.0F,
                    threads);
  rows_to_real(spectrum.data(), spectrum.columns(), out, threads);
  spectrum = Spectrum();
  return out;
}

void ifft_into(const Spectrum& spectrum, Image& out, int threads) {
  expect(out.nx() == spectrum.nx() && out.ny() == spectrum.ny(), "image has the sides of the spectrum");
  if (spectrum.size() == 0) return;
  Spectrum scratch = spectrum.clone();
  transform_columns(scratch.data(), scratch.columns(), scratch.ny(), scratch.columns(), pocketfft::BACKWARD, 1.0F,
                    threads);
  rows_to_real(scratch.data(), scratch.columns(), out, threads);
}

Image ifft(const Spectrum& spectrum, int threads) {
  Image out(spectrum.nx(), spectrum.ny(), spectrum.pixel_size);
  ifft_into(spectrum, out, threads);
  return out;
}

VolumeSpectrum fft(const Volume& volume) {
  VolumeSpectrum out(volume.nx(), volume.ny(), volume.nz(), volume.pixel_size);
  pocketfft::r2c<float>({z(volume.nz()), z(volume.ny()), z(volume.nx())},
                        strides(real_bytes, volume.nx(), std::ptrdiff_t{volume.nx()} * volume.ny()),
                        strides(complex_bytes, out.columns(), std::ptrdiff_t{out.columns()} * out.ny()), {0, 1, 2},
                        pocketfft::FORWARD, volume.data(), out.data(), 1.0F);
  return out;
}

Volume ifft(const VolumeSpectrum& spectrum) {
  Volume out(spectrum.nx(), spectrum.ny(), spectrum.nz(), spectrum.pixel_size);
  pocketfft::c2r<float>({z(out.nz()), z(out.ny()), z(out.nx())},
                        strides(complex_bytes, spectrum.columns(), std::ptrdiff_t{spectrum.columns()} * spectrum.ny()),
                        strides(real_bytes, out.nx(), std::ptrdiff_t{out.nx()} * out.ny()), {0, 1, 2},
                        pocketfft::BACKWARD, spectrum.data(), out.data(), 1.0F / static_cast<float>(out.size()));
  return out;
}

void fft_rows(std::complex<float>* data, int n, int count) {
  if (n == 0 || count == 0) return;
  pocketfft::c2c<float>({z(count), z(n)}, strides(complex_bytes, n), strides(complex_bytes, n), {1}, pocketfft::FORWARD,
                        data, data, 1.0F);
}

void ifft_rows(std::complex<float>* data, int n, int count) {
  if (n == 0 || count == 0) return;
  pocketfft::c2c<float>({z(count), z(n)}, strides(complex_bytes, n), strides(complex_bytes, n), {1},
                        pocketfft::BACKWARD, data, data, 1.0F / static_cast<float>(n));
}

int good_size(int n) {
  for (int size = n + n % 2;; size += 2) {
    int rest = size;
    for (const int prime : {2, 3, 5})
      while (rest % prime == 0 && rest > 1) rest /= prime;
    if (rest <= 1) return size;
  }
}

}  // namespace frazil
