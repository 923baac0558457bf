// Images, spectra and volumes: owning arrays that move and never copy by accident, and views of them.
#pragma once

#include <complex>
#include <cstddef>
#include <new>
#include <span>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/units.hpp"

namespace frazil {

/// 64-byte aligned memory; large pieces ask for large pages, which a fresh image then costs a hundredth of the page
/// faults.
[[nodiscard]] void* allocate_aligned(std::size_t bytes);
void free_aligned(void* memory);

/// Storage for the allocator-aware containers below.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(allocate_aligned(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) { free_aligned(p); }
  template <class U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
};
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// Read-only rectangle of pixels: x fast, first row y = 0, `stride` elements from row to row.
template <class T>
struct View2 {
  T* data = nullptr;
  int nx = 0, ny = 0;
  std::ptrdiff_t stride = 0;
  [[nodiscard]] T& operator()(int x, int y) const { return data[y * stride + x]; }
  [[nodiscard]] T* row(int y) const { return data + y * stride; }
};
using ImageView = View2<const float>;
using ImageSpan = View2<float>;

/// A real image; nx × ny pixels of `pixel_size`. Moves only; `clone()` copies.
class Image {
 public:
  Image() = default;
  /// Filled with zeros.
  Image(int nx, int ny, Angstrom pixel = 1_A) : pixel_size(pixel), nx_(nx), ny_(ny), data_(count(nx, ny)) {}
  Image(Image&&) = default;
  Image& operator=(Image&&) = default;
  [[nodiscard]] Image clone() const { return Image(*this); }

  [[nodiscard]] int nx() const { return nx_; }
  [[nodiscard]] int ny() const { return ny_; }
  [[nodiscard]] std::size_t size() const { return data_.size(); }
  [[nodiscard]] float* data() { return data_.data(); }
  [[nodiscard]] const float* data() const { return data_.data(); }
  [[nodiscard]] std::span<float> pixels() { return data_; }
  [[nodiscard]] std::span<const float> pixels() const { return data_; }
  [[nodiscard]] float& operator()(int x, int y) {
    return data_[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx_) + static_cast<std::size_t>(x)];
  }
  [[nodiscard]] float operator()(int x, int y) const {
    return data_[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx_) + static_cast<std::size_t>(x)];
  }
  [[nodiscard]] float* row(int y) { return data_.data() + static_cast<std::ptrdiff_t>(y) * nx_; }
  [[nodiscard]] const float* row(int y) const { return data_.data() + static_cast<std::ptrdiff_t>(y) * nx_; }
  [[nodiscard]] ImageView view() const { return {data_.data(), nx_, ny_, nx_}; }
  [[nodiscard]] ImageSpan span() { return {data_.data(), nx_, ny_, nx_}; }
  operator ImageView() const { return view(); }  // NOLINT: a view of the whole is what every reader wants

  Angstrom pixel_size = 1_A;

 private:
  Image(const Image&) = default;
  static std::size_t count(int nx, int ny) {
    expect(nx >= 0 && ny >= 0, "image sides are not negative");
    return static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny);
  }
  int nx_ = 0, ny_ = 0;
  AlignedVector<float> data_;
};

/// Half of the Fourier transform of a real image: (nx/2 + 1) × ny complex values, zero frequency first,
/// row iy ≤ ny/2 is frequency iy, above it iy − ny (conventions.md, "Fourier layout").
class Spectrum {
 public:
  Spectrum() = default;
  Spectrum(int nx, int ny, Angstrom pixel = 1_A)
      : pixel_size(pixel),
        nx_(nx),
        ny_(ny),
        data_(static_cast<std::size_t>(nx / 2 + 1) * static_cast<std::size_t>(ny)) {}
  Spectrum(Spectrum&&) = default;
  Spectrum& operator=(Spectrum&&) = default;
  [[nodiscard]] Spectrum clone() const { return Spectrum(*this); }

  /// Sides of the real image.
  [[nodiscard]] int nx() const { return nx_; }
  [[nodiscard]] int ny() const { return ny_; }
  /// Stored columns, nx/2 + 1.
  [[nodiscard]] int columns() const { return nx_ / 2 + 1; }
  [[nodiscard]] std::size_t size() const { return data_.size(); }
  [[nodiscard]] std::complex<float>* data() { return data_.data(); }
  [[nodiscard]] const std::complex<float>* data() const { return data_.data(); }
  [[nodiscard]] std::complex<float>& operator()(int ix, int iy) { return data_[index(ix, iy)]; }
  [[nodiscard]] const std::complex<float>& operator()(int ix, int iy) const { return data_[index(ix, iy)]; }
  [[nodiscard]] std::complex<float>* row(int iy) { return data_.data() + index(0, iy); }
  [[nodiscard]] const std::complex<float>* row(int iy) const { return data_.data() + index(0, iy); }
  /// Signed frequency index of row iy.
  [[nodiscard]] int ky(int iy) const { return iy <= ny_ / 2 ? iy : iy - ny_; }

  Angstrom pixel_size = 1_A;

 private:
  Spectrum(const Spectrum&) = default;
  [[nodiscard]] std::size_t index(int ix, int iy) const {
    return static_cast<std::size_t>(iy) * static_cast<std::size_t>(columns()) + static_cast<std::size_t>(ix);
  }
  int nx_ = 0, ny_ = 0;
  AlignedVector<std::complex<float>> data_;
};

/// A real volume, x fastest, then y, then z; the centre is voxel (nx/2, ny/2, nz/2).
class Volume {
 public:
  Volume() = default;
  Volume(int nx, int ny, int nz, Angstrom pixel = 1_A)
      : pixel_size(pixel),
        nx_(nx),
        ny_(ny),
        nz_(nz),
        data_(static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny) * static_cast<std::size_t>(nz)) {}
  Volume(Volume&&) = default;
  Volume& operator=(Volume&&) = default;
  [[nodiscard]] Volume clone() const { return Volume(*this); }

  [[nodiscard]] int nx() const { return nx_; }
  [[nodiscard]] int ny() const { return ny_; }
  [[nodiscard]] int nz() const { return nz_; }
  [[nodiscard]] std::size_t size() const { return data_.size(); }
  [[nodiscard]] float* data() { return data_.data(); }
  [[nodiscard]] const float* data() const { return data_.data(); }
  [[nodiscard]] std::span<float> voxels() { return data_; }
  [[nodiscard]] std::span<const float> voxels() const { return data_; }
  [[nodiscard]] float& operator()(int x, int y, int z) { return data_[index(x, y, z)]; }
  [[nodiscard]] float operator()(int x, int y, int z) const { return data_[index(x, y, z)]; }
  /// One z-section as an image view.
  [[nodiscard]] ImageView section(int z) const { return {data_.data() + index(0, 0, z), nx_, ny_, nx_}; }

  Angstrom pixel_size = 1_A;

 private:
  Volume(const Volume&) = default;
  [[nodiscard]] std::size_t index(int x, int y, int z) const {
    return (static_cast<std::size_t>(z) * static_cast<std::size_t>(ny_) + static_cast<std::size_t>(y)) *
               static_cast<std::size_t>(nx_) +
           static_cast<std::size_t>(x);
  }
  int nx_ = 0, ny_ = 0, nz_ = 0;
  AlignedVector<float> data_;
};

/// Half transform of a real volume: (nx/2 + 1) × ny × nz, zero frequency first on every axis.
class VolumeSpectrum {
 public:
  VolumeSpectrum() = default;
  VolumeSpectrum(int nx, int ny, int nz, Angstrom pixel = 1_A)
      : pixel_size(pixel),
        nx_(nx),
        ny_(ny),
        nz_(nz),
        data_(static_cast<std::size_t>(nx / 2 + 1) * static_cast<std::size_t>(ny) * static_cast<std::size_t>(nz)) {}
  VolumeSpectrum(VolumeSpectrum&&) = default;
  VolumeSpectrum& operator=(VolumeSpectrum&&) = default;
  [[nodiscard]] VolumeSpectrum clone() const { return VolumeSpectrum(*this); }

  [[nodiscard]] int nx() const { return nx_; }
  [[nodiscard]] int ny() const { return ny_; }
  [[nodiscard]] int nz() const { return nz_; }
  [[nodiscard]] int columns() const { return nx_ / 2 + 1; }
  [[nodiscard]] std::size_t size() const { return data_.size(); }
  [[nodiscard]] std::complex<float>* data() { return data_.data(); }
  [[nodiscard]] const std::complex<float>* data() const { return data_.data(); }
  [[nodiscard]] std::complex<float>& operator()(int ix, int iy, int iz) { return data_[index(ix, iy, iz)]; }
  [[nodiscard]] const std::complex<float>& operator()(int ix, int iy, int iz) const { return data_[index(ix, iy, iz)]; }

  Angstrom pixel_size = 1_A;

 private:
  VolumeSpectrum(const VolumeSpectrum&) = default;
  [[nodiscard]] std::size_t index(int ix, int iy, int iz) const {
    return (static_cast<std::size_t>(iz) * static_cast<std::size_t>(ny_) + static_cast<std::size_t>(iy)) *
               static_cast<std::size_t>(columns()) +
           static_cast<std::size_t>(ix);
  }
  int nx_ = 0, ny_ = 0, nz_ = 0;
  AlignedVector<std::complex<float>> data_;
};

}  // namespace frazil
