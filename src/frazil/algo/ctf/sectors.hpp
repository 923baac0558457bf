// The second estimator's view of a spectrum: means over cells of azimuth and radius.
#pragma once

#include <Eigen/Dense>

#include "frazil/algo/ctf/fit.hpp"

namespace frazil::ctf {

/// Power averaged over `sectors` equal ranges of azimuth in [0, 180) degrees and shells one pixel wide.
struct SectorTable {
  int sectors = 0;
  double dk = 0;            ///< 1/Å
  std::vector<double> k;    ///< mean radius of each shell
  std::vector<char> used;   ///< shell is fitted: not in the ice ring
  Eigen::ArrayXXd mean;     ///< shell × sector
  Eigen::ArrayXXd count;    ///< pixels of each cell
  Eigen::ArrayXXd u, c, s;  ///< means over each cell of k², k² cos 2α, k² sin 2α (1/Å²)
  [[nodiscard]] Eigen::Index shells() const { return static_cast<Eigen::Index>(k.size()); }
  [[nodiscard]] double azimuth(int sector) const;  ///< centre of a sector in radians
};

/// @throws Error(bad_input) if the band holds fewer than 8 shells or the spectrum is not positive
[[nodiscard]] SectorTable make_sectors(const PowerSpectrum& power, Angstrom min_resolution, Angstrom max_resolution,
                                       int sectors);

}  // namespace frazil::ctf
