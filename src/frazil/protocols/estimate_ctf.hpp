// estimate-ctf: defocus, astigmatism and their errors of one micrograph or saved spectrum.
#pragma once

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// What the input file holds.
enum class CtfInput { micrograph, spectrum, movie };
constexpr auto names_of(CtfInput) { return std::array{"micrograph", "spectrum", "movie"}; }
/// Estimators to choose from: least squares on the rings after a search over all defoci, or a full model of the
/// spectrum started from its sectors.
enum class CtfMethod { rings, model };
constexpr auto names_of(CtfMethod) { return std::array{"rings", "model"}; }

struct EstimateCtfParams : ctf::FitParams {
  CtfInput input_kind = CtfInput::micrograph;
  CtfMethod method = CtfMethod::rings;
  bool use_prior = false;
  int frames_per_group = 4;
  std::string gain;

  static constexpr auto fields() {
    using P = EstimateCtfParams;
    return std::tuple_cat(
        ctf::FitParams::fields(),
        std::tuple(field(&P::input_kind, "input_kind",
                         "What the file holds: a micrograph, an amplitude spectrum as RELION's motion correction saves "
                         "it (*_PS.mrc), or a movie that is not aligned"),
                   field(&P::method, "method",
                         "Estimator: rings (least squares after a search over all defoci), or model (likelihood of the "
                         "whole spectrum, started from its sectors)"),
                   field(&P::use_prior, "use_prior", "The method model looks near the estimate on the port prior only")
                       .advanced(),
                   field(&P::frames_per_group, "frames_per_group",
                         "Frames of a movie that are summed before their spectrum is taken")
                       .range(1, 10000)
                       .advanced(),
                   field(&P::gain, "gain", "Gain reference of a movie; empty: none").file().advanced()));
  }
};

/// Problems that lie between fields, or within one.
[[nodiscard]] inline std::vector<std::string> check(const EstimateCtfParams& params) {
  if (params.box % 2 != 0) return {fmt::format("box must be even, not {}", params.box)};
  return {};
}

struct EstimateCtfInput {
  Micrograph micrograph;
  std::optional<Spectra> spectra;  ///< of the movie's frame groups (align-movie): read instead of the micrograph
  std::optional<CtfFit>
      prior;  ///< another estimate, in whose neighbourhood the method `model` looks if `use_prior` says so
  static constexpr auto ports() {
    using P = EstimateCtfInput;
    return std::tuple(flow::port(&P::micrograph, "micrographs"), flow::port(&P::spectra, "spectra"),
                      flow::port(&P::prior, "prior"));
  }
};

struct EstimateCtf {
  static constexpr flow::Info info{
      .name = "estimate-ctf",
      .title = "CTF estimation",
      .version = 7,
      .cites = "10.1016/j.jsb.2015.08.008",
      .help =
          "Fit defocus, astigmatism and, if asked, phase shift to the Thon rings of each micrograph, with standard "
          "errors; specimen tilt and bend from the defocus of its parts, ice thickness from nodes."};
  using Params = EstimateCtfParams;
  using Input = EstimateCtfInput;
  using Output = CtfFit;
  Params params;

  /// Writes `<area>_ctf.png`, `<area>_ctf.star` and `<area>_ctf.json` (radial profile).
  [[nodiscard]] CtfFit process(const EstimateCtfInput& input, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const EstimateCtfInput& input) const;
};

/// The record of a fit, without files.
[[nodiscard]] CtfFit record_of(const ctf::Fit& found, const Micrograph& micrograph, CtfMethod method);

/// How to get the spectrum of a file.
struct CtfSource {
  CtfInput kind = CtfInput::micrograph;
  int box = 512;
  int frames_per_group = 4;
  std::string gain;
};
/// Power spectrum of the image, saved spectrum or movie behind a micrograph record; shared with assess-ctf.
[[nodiscard]] ctf::PowerSpectrum power_spectrum_of(const Micrograph& micrograph, const CtfSource& source,
                                                   flow::Context& context,
                                                   std::vector<ctf::RegionSpectrum>* regions = nullptr);

}  // namespace frazil::protocols
