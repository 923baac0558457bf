#include "frazil/protocols/assess_ctf.hpp"

#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {

CtfAssessment AssessCtf::process(const AssessCtfInput& input, flow::Context& context) const {
  const auto& micrograph = input.micrograph;
  Ctf given;
  if (input.ctf)
    given = input.ctf->ctf();
  else if (params.defocus_u != 0_A)
    given = {params.defocus_u,
             params.defocus_v == 0_A ? params.defocus_u : params.defocus_v,
             params.astigmatism_angle,
             params.phase_shift,
             {}};
  else
    throw Error(ErrorCode::bad_input,
                "{}: no CTF to assess; give a STAR file with CTF values as second input, or defocus_u",
                micrograph.path);
  given = canonical(given);

  const auto power =
      power_spectrum_of(micrograph, {params.input_kind, params.box, params.frames_per_group, params.gain}, context);
  const auto judged = ctf::assess(power, micrograph.optics, given, params, params.significance);
  CtfAssessment out;
  out.micrograph = micrograph.path;
  out.name = micrograph.name;
  out.defocus_u = given.defocus_u;
  out.defocus_v = given.defocus_v;
  out.astigmatism_angle = given.astigmatism_angle;
  out.phase_shift = given.phase_shift;
  out.score = judged.score;
  out.fit_resolution = judged.fit_resolution;
  out.accepted = judged.accepted;
  out.reason = judged.reason;
  out.z = judged.z;
  out.z_limit = judged.z_limit;
  out.agreement = judged.agreement;
  out.best_defocus = judged.best.mean_defocus();
  return out;
}

template flow::Protocol protocol_of<AssessCtf>();

}  // namespace frazil::protocols
