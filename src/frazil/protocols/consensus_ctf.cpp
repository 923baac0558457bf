#include "frazil/protocols/consensus_ctf.hpp"

#include <cmath>

#include "frazil/algo/ctf/consensus.hpp"
#include "frazil/protocols/ctf_star.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::protocols {
namespace {

std::string method_of(const CtfFit& fit, std::size_t index) { return fit.method.empty() ? fmt::format("estimate {}", index + 1) : fit.method; }

/// The sentence that names the estimates and what they say.
std::string values_of(const std::vector<CtfFit>& fits) {
  std::string text;
  for (std::size_t i = 0; i < fits.size(); ++i)
    text += fmt::format("{}{} {:.0f} A", i > 0 ? ", " : "", method_of(fits[i], i), ((fits[i].defocus_u + fits[i].defocus_v) / 2).value());
  return text;
}

void judge(const ConsensusCtfParams& params, const std::vector<CtfFit>& fits, CtfConsensus& verdict) {
  verdict.rule = "max_agreement_A";
  verdict.value = verdict.agreement.value();
  verdict.limit = params.max_agreement.value();
  verdict.accepted = verdict.agreement <= params.max_agreement;
  if (!verdict.accepted) verdict.reason = fmt::format("the estimates' phases agree to {:.1f} A only, {:.1f} A is asked for: mean defocus by {}", verdict.value, verdict.limit, values_of(fits));
  else if (params.max_difference > 0 && std::abs(verdict.difference_z) > params.max_difference) {
    verdict.accepted = false;
    verdict.rule = "max_difference";
    verdict.value = std::abs(verdict.difference_z);
    verdict.limit = params.max_difference;
    verdict.reason = fmt::format("the estimates differ by {:.1f} times their error bars, at most {:.1f} is allowed: mean defocus by {}", verdict.value, verdict.limit, values_of(fits));
  }
}

void apply(const CtfTrend& session, CtfFit& fit) {
  const double angle = 2 * to_rad(session.astigmatism_angle), a = session.astigmatism.value();
  const auto pulled = ctf::pull_astigmatism(canonical(fit.ctf()), fit.sigma_astigmatism,
                                            {a * std::cos(angle), a * std::sin(angle), session.sigma_astigmatism.value(), session.astigmatism_spread.value(), session.count});
  fit.defocus_u = pulled.ctf.defocus_u;
  fit.defocus_v = pulled.ctf.defocus_v;
  fit.astigmatism_angle = pulled.ctf.astigmatism_angle;
  fit.sigma_astigmatism = pulled.sigma_astigmatism;
  fit.quality.astigmatism_pull = pulled.pull;
}

}  // namespace

ConsensusCtfOutput fuse(const ConsensusCtfParams& params, const std::vector<CtfFit>& fits, const CtfTrend* session) {
  if (fits.size() < 2) throw Error(ErrorCode::bad_input, "{}: a consensus needs two estimates, found {}; connect another to the port others", fits.empty() ? "CTF" : fits[0].micrograph, fits.size());
  std::vector<ctf::Estimate> estimates;
  for (const auto& fit : fits) estimates.push_back({canonical(fit.ctf()), fit.sigma_defocus, fit.sigma_astigmatism});
  const auto joined = ctf::join(estimates, fits[0].optics, params.max_agreement);

  ConsensusCtfOutput out{fits[0], {}};
  auto& fused = out.fused;
  fused.defocus_u = joined.ctf.defocus_u;
  fused.defocus_v = joined.ctf.defocus_v;
  fused.astigmatism_angle = joined.ctf.astigmatism_angle;
  fused.phase_shift = joined.ctf.phase_shift;
  fused.sigma_defocus = joined.sigma_defocus;
  fused.sigma_astigmatism = joined.sigma_astigmatism;
  fused.agreement = joined.agreement;
  fused.difference = joined.difference;
  fused.difference_z = joined.difference_z;
  fused.method = "consensus";
  if (session != nullptr) apply(*session, fused);

  auto& verdict = out.verdict;
  verdict.micrograph = fused.micrograph;
  verdict.name = fused.name;
  verdict.defocus_u = fused.defocus_u;
  verdict.defocus_v = fused.defocus_v;
  verdict.astigmatism_angle = fused.astigmatism_angle;
  verdict.phase_shift = fused.phase_shift;
  verdict.sigma_defocus = fused.sigma_defocus;
  verdict.sigma_astigmatism = fused.sigma_astigmatism;
  verdict.agreement = joined.agreement;
  verdict.difference = joined.difference;
  verdict.difference_z = joined.difference_z;
  verdict.used.assign(fits.size(), 0);
  for (const auto m : joined.members) verdict.used[m] = 1;
  for (std::size_t i = 0; i < fits.size(); ++i) verdict.methods.push_back(method_of(fits[i], i));
  judge(params, fits, verdict);
  return out;
}

ConsensusCtfOutput ConsensusCtf::process(const ConsensusCtfInput& input, flow::Context& context) const {
  std::vector<CtfFit> fits{input.first};
  fits.insert(fits.end(), input.others.begin(), input.others.end());
  auto out = fuse(params, fits, input.session ? &*input.session : nullptr);
  const auto name = area_name(input.first.name.empty() ? input.first.micrograph : input.first.name) + "_ctf_consensus.star";
  out.fused.star = out.verdict.star = context.reference(name);
  io::write_star(context.output(name), ctf_file(out.fused, fits));
  return out;
}

}  // namespace frazil::protocols
