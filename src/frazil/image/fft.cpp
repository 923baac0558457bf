#include "frazil/image/fft.hpp"

#include <gemmi/third_party/pocketfft_hdronly.h>

namespace frazil {
namespace {

using pocketfft::shape_t;
using pocketfft::stride_t;
constexpr std::ptrdiff_t real_bytes = sizeof(float);
constexpr std::ptrdiff_t complex_bytes = sizeof(std::complex<float>);

std::size_t z(int n) { return static_cast<std::size_t>(n); }

stride_t strides(std::ptrdiff_t unit, std::ptrdiff_t row, std::ptrdiff_t section = 0) {
  if (section == 0) return {row * unit, unit};
  return {section * unit, row * unit, unit};
}

}  // namespace

void fft_into(ImageView image, Spectrum& out) {
  expect(out.nx() == image.nx && out.ny() == image.ny, "spectrum has the sides of the image");
  if (out.size() == 0) return;
  pocketfft::r2c<float>({z(image.ny), z(image.nx)}, strides(real_bytes, image.stride), strides(complex_bytes, out.columns()),
                        {0, 1}, pocketfft::FORWARD, image.data, out.data(), 1.0F);
}

Spectrum fft(ImageView image, Angstrom pixel_size) {
  Spectrum out(image.nx, image.ny, pixel_size);
  fft_into(image, out);
  return out;
}

void ifft_into(const Spectrum& spectrum, Image& out) {
  expect(out.nx() == spectrum.nx() && out.ny() == spectrum.ny(), "image has the sides of the spectrum");
  if (spectrum.size() == 0) return;
  pocketfft::c2r<float>({z(spectrum.ny()), z(spectrum.nx())}, strides(complex_bytes, spectrum.columns()), strides(real_bytes, spectrum.nx()),
                        {0, 1}, pocketfft::BACKWARD, spectrum.data(), out.data(), 1.0F / static_cast<float>(out.size()));
}

Image ifft(const Spectrum& spectrum) {
  Image out(spectrum.nx(), spectrum.ny(), spectrum.pixel_size);
  ifft_into(spectrum, out);
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
                        strides(real_bytes, out.nx(), std::ptrdiff_t{out.nx()} * out.ny()), {0, 1, 2}, pocketfft::BACKWARD,
                        spectrum.data(), out.data(), 1.0F / static_cast<float>(out.size()));
  return out;
}

void fft_rows(std::complex<float>* data, int n, int count) {
  if (n == 0 || count == 0) return;
  pocketfft::c2c<float>({z(count), z(n)}, strides(complex_bytes, n), strides(complex_bytes, n), {1}, pocketfft::FORWARD, data, data, 1.0F);
}

void ifft_rows(std::complex<float>* data, int n, int count) {
  if (n == 0 || count == 0) return;
  pocketfft::c2c<float>({z(count), z(n)}, strides(complex_bytes, n), strides(complex_bytes, n), {1}, pocketfft::BACKWARD, data, data,
                        1.0F / static_cast<float>(n));
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
