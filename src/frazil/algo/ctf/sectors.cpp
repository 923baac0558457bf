#include "frazil/algo/ctf/sectors.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/rings.hpp"

namespace frazil::ctf {
namespace {

constexpr int fewest_shells = 8;  ///< as rings.cpp

}  // namespace

double SectorTable::azimuth(int sector) const { return std::numbers::pi * (sector + 0.5) / sectors; }

SectorTable make_sectors(const PowerSpectrum& power, Angstrom min_resolution, Angstrom max_resolution, int sectors) {
  SectorTable table;
  table.sectors = sectors;
  const int n = power.power.nx(), h = n / 2;
  table.dk = 1 / (n * power.pixel_size.value());
  const int first = static_cast<int>(std::ceil(1 / min_resolution.value() / table.dk));
  const int last =
      std::min(static_cast<int>(std::floor(1 / max_resolution.value() / table.dk)), static_cast<int>(0.97 * h));
  if (last - first + 1 < fewest_shells)
    throw Error(ErrorCode::bad_input,
                "the band {:.1f} to {:.1f} A holds fewer than {} shells of a {} px spectrum with pixels of {:.2f} A",
                min_resolution.value(), max_resolution.value(), fewest_shells, n, power.pixel_size.value());
  const Eigen::Index shells = last - first + 1;
  table.mean = Eigen::ArrayXXd::Zero(shells, sectors);
  table.count = table.u = table.c = table.s = table.mean;
  for (int y = 1; y < n; ++y)
    for (int kx = 1; kx < h; ++kx) {
      const int ky = y - h;
      const auto shell = static_cast<Eigen::Index>(std::lround(std::hypot(kx, ky))) - first;
      if (ky == 0 || shell < 0 || shell >= shells) continue;  // the axes gather what edges and read-out leave
      const double turn = std::atan2(ky, kx) / std::numbers::pi;
      const auto sector =
          std::min<Eigen::Index>(sectors - 1, static_cast<Eigen::Index>((turn < 0 ? turn + 1 : turn) * sectors));
      table.mean(shell, sector) += double{power.power(kx + h, y)};
      table.count(shell, sector) += 1;
      table.u(shell, sector) += kx * kx + ky * ky;
      table.c(shell, sector) += kx * kx - ky * ky;
      table.s(shell, sector) += 2.0 * kx * ky;
    }
  for (Eigen::Index s = 0; s < shells; ++s) {
    const double k = static_cast<double>(first + s) * table.dk, total = table.mean.row(s).sum();
    if (!(total > 0)) throw Error(ErrorCode::bad_input, "the power spectrum is not positive at {:.1f} A", 1 / k);
    table.k.push_back(k);
    table.used.push_back(k < ice_low_k || k > ice_high_k ? 1 : 0);
  }
  const Eigen::ArrayXXd full = table.count.max(1.0), scale = table.dk * table.dk / full;
  table.mean /= full;
  table.u *= scale;
  table.c *= scale;
  table.s *= scale;
  return table;
}

}  // namespace frazil::ctf
