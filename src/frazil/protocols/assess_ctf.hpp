// assess-ctf: how well a given CTF describes a micrograph or saved spectrum.
#pragma once

#include "frazil/model/records.hpp"
#include "frazil/protocols/estimate_ctf.hpp"

namespace frazil::protocols {

struct AssessCtfParams : EstimateCtfParams {
  Angstrom defocus_u{}, defocus_v{};
  Degrees astigmatism_angle{}, phase_shift{};
  double significance = 1e-3;

  static constexpr auto fields() {
    using P = AssessCtfParams;
    return std::tuple_cat(
        EstimateCtfParams::fields(),
        std::tuple(
            field(&P::defocus_u, "defocus_u", "Defocus U to be judged, when no CTF comes as input")
                .range(-200000_A, 200000_A),
            field(&P::defocus_v, "defocus_v", "Defocus V; 0: the same as U").range(-200000_A, 200000_A),
            field(&P::astigmatism_angle, "astigmatism_angle", "From +x to the axis of U").range(-360_deg, 360_deg),
            field(&P::phase_shift, "phase_shift", "Phase plate").range(-360_deg, 360_deg),
            field(&P::significance, "significance", "Chance of accepting a CTF that has nothing to do with the image")
                .range(1e-12, 0.2)));
  }
};

struct AssessCtfInput {
  Micrograph micrograph;
  std::optional<CtfFit> ctf;
  static constexpr auto ports() {
    using P = AssessCtfInput;
    return std::tuple(flow::port(&P::micrograph, "micrographs"), flow::port(&P::ctf, "ctf"));
  }
};

struct AssessCtf {
  static constexpr flow::Info info{.name = "assess-ctf",
                                   .title = "CTF assessment",
                                   .version = 1,
                                   .help =
                                       "Test whether a given CTF describes the rings of a micrograph: stronger rings "
                                       "than at wrong defoci, and none better elsewhere."};
  using Params = AssessCtfParams;
  using Input = AssessCtfInput;
  using Output = CtfAssessment;
  Params params;

  [[nodiscard]] CtfAssessment process(const AssessCtfInput& input, flow::Context& context) const;
};

}  // namespace frazil::protocols
