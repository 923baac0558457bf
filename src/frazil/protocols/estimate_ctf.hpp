// estimate-ctf: defocus, astigmatism and their errors of one micrograph or saved spectrum.
#pragma once

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

/// What the input file holds.
enum class CtfInput { micrograph, spectrum };
/// Estimators to choose from.
enum class CtfMethod { rings };

}  // namespace frazil::protocols

namespace frazil {
template <>
struct EnumNames<protocols::CtfInput> {
  static constexpr std::array names{"micrograph", "spectrum"};
};
template <>
struct EnumNames<protocols::CtfMethod> {
  static constexpr std::array names{"rings"};
};
}  // namespace frazil

namespace frazil::protocols {

struct EstimateCtfParams : ctf::FitParams {
  CtfInput input_kind = CtfInput::micrograph;
  CtfMethod method = CtfMethod::rings;

  static constexpr auto fields() {
    using P = EstimateCtfParams;
    return std::tuple_cat(ctf::FitParams::fields(),
                          std::tuple(field(&P::input_kind, "input_kind", "Image, or amplitude spectrum as RELION's motion correction saves it (*_PS.mrc)"),
                                     field(&P::method, "method", "Estimator").advanced()));
  }
};

struct EstimateCtf {
  static constexpr flow::Info info{.name = "estimate-ctf", .title = "CTF estimation", .version = 2, .cites = "10.1016/j.jsb.2015.08.008",
                                   .help = "Fit defocus, astigmatism and, if asked, phase shift to the Thon rings of each micrograph.",
                                   .thin = "no specimen tilt, no thickness, and no movies or frame groups as input yet"};
  using Params = EstimateCtfParams;
  using Input = Micrograph;
  using Output = CtfFit;
  Params params;

  /// Writes `<area>_ctf.png`, `<area>_ctf.star` and `<area>_ctf.json` (radial profile).
  [[nodiscard]] CtfFit process(const Micrograph& micrograph, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const Micrograph& micrograph) const;
};

/// Power spectrum of the image or saved spectrum behind a micrograph record; shared with assess-ctf.
[[nodiscard]] ctf::PowerSpectrum power_spectrum_of(const Micrograph& micrograph, CtfInput kind, int box, flow::Context& context);

}  // namespace frazil::protocols
