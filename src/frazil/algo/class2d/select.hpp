// Which class averages show particles: measured features of an average, a score, and a threshold that favours recall.
#pragma once

#include <string>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::class2d {

struct SelectParams {
  double min_score = 0.3;
  double min_share = 0.1;
  Angstrom max_resolution = 45_A;

  static constexpr auto fields() {
    using P = SelectParams;
    return std::tuple(
        field(&P::min_score, "min_score", "Classes below this score are set aside; lower keeps more").range(0, 1),
        field(&P::min_share, "min_share", "Classes smaller than this part of the mean class are set aside").range(0, 1),
        field(&P::max_resolution, "max_resolution", "Classes of coarser resolution are set aside").range(5_A, 200_A));
  }
};

/// What is measured on one average.
struct ClassFeatures {
  int count = 0;
  Angstrom resolution{};
  double contrast = 0;      ///< standard deviation inside the particle's disc over that outside
  double offset = 0;        ///< distance of the centre of mass of the bright part from the middle, in particle radii
  double bright = 0;        ///< mean inside the disc minus mean outside, in standard deviations of the outside
  double overflow = 0;      ///< share of the bright mass that lies outside the disc
  bool background = false;  ///< gathers images that no average explains: never chosen
  bool finite = true;       ///< all its pixels are finite; else it is never chosen
};

struct ClassVerdict {
  ClassFeatures features;
  double score = 0;  ///< 0 to 1
  bool selected = false;
  std::string reason;  ///< empty when selected
};

[[nodiscard]] ClassFeatures measure_average(const Image& average, int count, Angstrom resolution, Angstrom diameter);

/// Scores are products of soft limits on each feature; contrast and resolution are judged relative to the best
/// quarter of the classes, so that a poor data set still keeps its best views. When everything falls below the
/// threshold, the best class is kept.
[[nodiscard]] std::vector<ClassVerdict> select_classes(const std::vector<ClassFeatures>& features,
                                                       const SelectParams& params);

}  // namespace frazil::class2d
