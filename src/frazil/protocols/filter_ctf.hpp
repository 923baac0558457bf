// filter-ctf: accepts micrographs by their CTF, or sets them aside with the reason.
#pragma once

#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

/// A limit of 0 switches its rule off.
struct FilterCtfParams {
  Angstrom min_defocus = 2000_A, max_defocus = 50000_A;
  Angstrom max_astigmatism = 2000_A;
  Angstrom max_fit_resolution = 8_A;
  Angstrom max_sigma_defocus = 300_A;
  double min_score = 0;
  double max_iceness = 0;

  static constexpr auto fields() {
    using P = FilterCtfParams;
    return std::tuple(field(&P::min_defocus, "min_defocus", "Smallest mean defocus").range(0_A, 200000_A),
                      field(&P::max_defocus, "max_defocus", "Largest mean defocus; 0: no limit").range(0_A, 200000_A),
                      field(&P::max_astigmatism, "max_astigmatism", "Largest astigmatism U − V; 0: no limit").range(0_A, 50000_A),
                      field(&P::max_fit_resolution, "max_fit_resolution", "Rings must agree with the model to this resolution or finer; 0: no limit").range(0_A, 100_A),
                      field(&P::max_sigma_defocus, "max_sigma_defocus", "Largest standard error of the defocus; 0: no limit").range(0_A, 100000_A),
                      field(&P::min_score, "min_score", "Smallest score; 0: no limit").range(0, 1),
                      field(&P::max_iceness, "max_iceness", "Largest ice ring over its background; 0: no limit").range(0, 1000));
  }
};

struct FilterCtf {
  static constexpr flow::Info info{.name = "filter-ctf", .title = "CTF filter", .version = 1,
                                   .help = "Keep micrographs whose defocus, astigmatism, error and fit resolution lie within limits; set the others aside with the reason."};
  using Params = FilterCtfParams;
  using Input = CtfFit;
  using Output = Decision;
  Params params;

  [[nodiscard]] Decision process(const CtfFit& fit, flow::Context& context) const;
};

}  // namespace frazil::protocols
