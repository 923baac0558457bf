#include "frazil/algo/pick/backend.hpp"

#include "frazil/image/dft_reference.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::pick {
namespace {

class CpuCorrelator final : public Correlator {
 public:
  explicit CpuCorrelator(const Image& image) : image_(fft(image)) {}
  std::vector<Image> with(std::span<const Image> kernels) const override {
    std::vector<Image> maps;
    for (const auto& kernel : kernels) {
      auto product = fft(kernel);
      for (std::size_t i = 0; i < product.size(); ++i)
        product.data()[i] = image_.data()[i] * std::conj(product.data()[i]);
      maps.push_back(ifft(product));
    }
    return maps;
  }

 private:
  Spectrum image_;
};

class ReferenceCorrelator final : public Correlator {
 public:
  explicit ReferenceCorrelator(const Image& image)
      : nx_(image.nx()), ny_(image.ny()), image_(dft_reference(image, nx_ / 2 + 1)) {}
  std::vector<Image> with(std::span<const Image> kernels) const override {
    std::vector<Image> maps;
    for (const auto& kernel : kernels) {
      auto product = dft_reference(kernel, nx_ / 2 + 1);
      for (std::size_t i = 0; i < product.size(); ++i) product[i] = image_[i] * std::conj(product[i]);
      maps.push_back(inverse_dft_reference(product, nx_, ny_));
    }
    return maps;
  }

 private:
  int nx_, ny_;
  std::vector<std::complex<double>> image_;
};

template <class C>
class BackendOf final : public Backend {
 public:
  std::unique_ptr<Correlator> hold(const Image& image) const override { return std::make_unique<C>(image); }
};

}  // namespace

const Backend& cpu_backend() {
  static const BackendOf<CpuCorrelator> backend;
  return backend;
}

const Backend& reference_backend() {
  static const BackendOf<ReferenceCorrelator> backend;
  return backend;
}

}  // namespace frazil::pick
