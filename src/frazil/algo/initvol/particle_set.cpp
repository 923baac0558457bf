#include "frazil/algo/initvol/particle_set.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::initvol {
namespace {

using std::numbers::pi;

Spectrum masked_transform(const Image& image, const Image& mask) {
  auto copy = image.clone();
  for (std::size_t p = 0; p < copy.size(); ++p) copy.data()[p] *= mask.data()[p];
  return fft(copy);
}

void check_sizes(std::span<const ParticleImage> particles) {
  if (particles.empty()) throw Error(ErrorCode::bad_input, "initial volume: there are no particles");
  const auto& first = particles.front().image;
  for (const auto& p : particles) {
    if (p.image.nx() != first.nx() || p.image.ny() != first.nx() || first.nx() % 2 != 0)
      throw Error(ErrorCode::bad_input,
                  "initial volume: particle images must be square with one even side, found {} x {} beside {} x {}",
                  p.image.nx(), p.image.ny(), first.nx(), first.ny());
  }
}

}  // namespace

void phase_ramp(const recon::Plane& plane, const Eigen::Vector2d& d, std::size_t count, float* real, float* imag) {
  const auto side = static_cast<std::size_t>(2 * plane.max_k + 1);
  std::vector<std::complex<float>> x(side), y(side);
  for (std::size_t i = 0; i < side; ++i) {
    const double k = 2 * pi * (static_cast<double>(i) - plane.max_k) / plane.box;
    x[i] = {static_cast<float>(std::cos(k * d.x())), static_cast<float>(std::sin(k * d.x()))};
    y[i] = {static_cast<float>(std::cos(k * d.y())), static_cast<float>(std::sin(k * d.y()))};
  }
  for (std::size_t j = 0; j < count; ++j) {
    const auto& a = x[static_cast<std::size_t>(static_cast<int>(plane.kx[j]) + plane.max_k)];
    const auto& b = y[static_cast<std::size_t>(static_cast<int>(plane.ky[j]) + plane.max_k)];
    real[j] = a.real() * b.real() - a.imag() * b.imag();
    imag[j] = a.real() * b.imag() + a.imag() * b.real();
  }
}

ParticleSet::ParticleSet(std::span<const ParticleImage> particles, int max_k, Angstrom mask_diameter,
                         Angstrom max_shift, int threads) {
  check_sizes(particles);
  const int box = particles.front().image.nx();
  pixel_size_ = particles.front().image.pixel_size;
  plane_ = recon::half_plane(box, max_k);
  const std::size_t m = plane_.size();
  real_.resize(particles.size() * m);
  imag_.resize(particles.size() * m);
  ctf_.resize(particles.size() * m);
  const double edge = 5, radius = std::min(to_px(mask_diameter / 2 + max_shift, pixel_size_), box / 2.0 - edge);
  const auto mask = soft_disc(box, radius, edge, pixel_size_);
  const double per_A = 1 / (box * pixel_size_.value());
  parallel_for(threads, particles.size(), [&](std::size_t i) {
    std::vector<std::complex<float>> components(m);
    recon::gather(masked_transform(particles[i].image, mask), plane_, components.data());
    const CtfFunction ctf(particles[i].ctf, particles[i].optics);
    bool finite = std::isfinite((particles[i].origin_x + particles[i].origin_y).value());
    for (std::size_t j = 0; j < m; ++j) {
      real_[i * m + j] = components[j].real();
      imag_[i * m + j] = components[j].imag();
      ctf_[i * m + j] = static_cast<float>(ctf(plane_.kx[j] * per_A, plane_.ky[j] * per_A));
      finite = finite && std::isfinite(components[j].real() + components[j].imag() + ctf_[i * m + j]);
    }
    if (!finite)
      throw Error(ErrorCode::bad_input, "initial volume: the image or the CTF of particle {} is not finite", i + 1);
  });
  for (const auto& p : particles) offsets.emplace_back(-p.origin_x / pixel_size_, -p.origin_y / pixel_size_);
}

std::vector<double> ParticleSet::mean_power(std::span<const std::size_t> members) const {
  std::vector<double> sum(static_cast<std::size_t>(plane_.max_k) + 1), count(sum.size());
  for (const auto i : members)
    for (std::size_t j = 0; j < plane_.size(); ++j) {
      const auto ring = static_cast<std::size_t>(plane_.ring[j]);
      sum[ring] += static_cast<double>(real(i)[j]) * real(i)[j] + static_cast<double>(imag(i)[j]) * imag(i)[j];
      count[ring] += 1;
    }
  for (std::size_t r = 0; r < sum.size(); ++r) sum[r] /= std::max(count[r], 1.0);
  return sum;
}

void ParticleSet::centred(std::size_t i, const Eigen::Vector2d& displacement_px, std::size_t count, bool with_ctf,
                          float* out_real, float* out_imag) const {
  phase_ramp(plane_, displacement_px, count, out_real, out_imag);
  const float *re = real(i), *im = imag(i), *c = ctf(i);
  for (std::size_t j = 0; j < count; ++j) {
    const float gain = with_ctf ? c[j] : 1.0F;
    const float a = (re[j] * out_real[j] - im[j] * out_imag[j]) * gain;
    out_imag[j] = (re[j] * out_imag[j] + im[j] * out_real[j]) * gain;
    out_real[j] = a;
  }
}

}  // namespace frazil::initvol
