#include "frazil/protocols/consensus_ctf.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/ctf/consensus.hpp"
#include "frazil/protocols/ctf_star.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

std::string method_of(const CtfFit& fit, std::size_t index) {
  return fit.method.empty() ? fmt::format("estimate {}", index + 1) : fit.method;
}

/// The sentence that names the estimates and what they say.
std::string values_of(const std::vector<CtfFit>& fits) {
  std::string text;
  for (std::size_t i = 0; i < fits.size(); ++i)
    text += fmt::format("{}{} {:.0f} A", i > 0 ? ", " : "", method_of(fits[i], i),
                        ((fits[i].defocus_u + fits[i].defocus_v) / 2).value());
  return text;
}

void judge(const ConsensusCtfParams& params, const std::vector<CtfFit>& fits, CtfConsensus& verdict) {
  verdict.rule = "max_agreement_A";
  verdict.value = verdict.agreement.value();
  verdict.limit = params.max_agreement.value();
  verdict.accepted = verdict.agreement <= params.max_agreement;
  if (!verdict.accepted)
    verdict.reason =
        fmt::format("the estimates' phases agree to {:.1f} A only, {:.1f} A is asked for: mean defocus by {}",
                    verdict.value, verdict.limit, values_of(fits));
  else if (params.max_difference > 0 && std::abs(verdict.difference_z) > params.max_difference) {
    verdict.accepted = false;
    verdict.rule = "max_difference";
    verdict.value = std::abs(verdict.difference_z);
    verdict.limit = params.max_difference;
    verdict.reason = fmt::format(
        "the estimates differ by {:.1f} times their error bars, at most {:.1f} is allowed: mean defocus by {}",
        verdict.value, verdict.limit, values_of(fits));
  }
}

/// How far the acquisition moves the spherical aberration behind the estimate.
ctf::Measured cs_pull(const CtfFit& fit, const CtfTrend& session) {
  return ctf::pull_cs({fit.quality.cs_deviation.value(), fit.quality.sigma_cs.value()},
                      {session.cs_deviation.value(), session.sigma_cs.value()}, session.cs_spread.value());
}

/// Whether an estimate can go with the spherical aberration of the acquisition. Another program's fit does not tell how
/// its defocus follows Cs; and fits that are wrong in the same way ask for one that no lens has, which is no
/// measurement of Cs.
bool can_move_cs(const CtfFit& fit, const CtfTrend* session) {
  if (!(fit.quality.sigma_cs > 0_mm)) return false;
  if (session == nullptr) return true;
  auto moved = fit.optics;
  moved.cs += Millimetre(cs_pull(fit, *session).value);
  return record_problems<Optics>(record_to_json(moved)).empty();
}

/// The estimate with the astigmatism and, `with_cs`, the spherical aberration of the acquisition behind it.
CtfFit steadied(CtfFit fit, const CtfTrend& session, bool with_cs) {
  const double angle = 2 * to_rad(session.astigmatism_angle), a = session.astigmatism.value();
  const auto pulled = ctf::pull_astigmatism(
      canonical(fit.ctf()), fit.sigma_astigmatism,
      {a * std::cos(angle), a * std::sin(angle), session.sigma_astigmatism.value(), session.astigmatism_spread.value(),
       std::min(session.count, static_cast<int>(CtfTrend::window))});
  const auto cs = with_cs ? cs_pull(fit, session) : ctf::Measured{};
  const auto follow = Angstrom(fit.quality.defocus_per_cs * cs.value);
  fit.defocus_u = pulled.ctf.defocus_u + follow;
  fit.defocus_v = pulled.ctf.defocus_v + follow;
  fit.astigmatism_angle = pulled.ctf.astigmatism_angle;
  fit.sigma_astigmatism = pulled.sigma_astigmatism;
  fit.sigma_defocus = Angstrom(std::hypot(fit.sigma_defocus.value(), fit.quality.defocus_per_cs * cs.sigma));
  fit.quality.astigmatism_pull = pulled.pull;
  fit.quality.cs_pull = Millimetre(cs.value);
  fit.optics.cs += fit.quality.cs_pull;
  return fit;
}

ctf::Consensus joined(const std::vector<CtfFit>& fits, Angstrom tolerance) {
  std::vector<ctf::Estimate> estimates;
  for (const auto& fit : fits) estimates.push_back({canonical(fit.ctf()), fit.sigma_defocus, fit.sigma_astigmatism});
  return ctf::join(estimates, fits[0].optics, tolerance);
}

/// Of the members that give one; that of the first fit if none does.
double confidence_of(const std::vector<CtfFit>& fits, const ctf::Consensus& joined_fits) {
  std::vector<std::pair<double, Angstrom>> members;
  for (const auto m : joined_fits.members)
    if (fits[m].quality.confidence > 0 && fits[m].sigma_defocus > 0_A)
      members.emplace_back(fits[m].quality.confidence, fits[m].sigma_defocus);
  return members.empty() ? fits[0].quality.confidence : ctf::joint_confidence(members, joined_fits.sigma_defocus);
}

}  // namespace

ConsensusCtfOutput fuse(const ConsensusCtfParams& params, std::vector<CtfFit> fits, const CtfTrend* session) {
  if (fits.size() < 2)
    throw Error(ErrorCode::bad_input,
                "{}: a consensus needs two estimates, found {}; connect another to the port others",
                fits.empty() ? "CTF" : fits[0].micrograph, fits.size());
  const auto alone = joined(fits, params.max_agreement);
  const auto given = fits;
  // All members must go with the same one.
  const bool with_cs =
      std::all_of(fits.begin(), fits.end(), [&](const CtfFit& fit) { return can_move_cs(fit, session); });
  if (session != nullptr)
    for (auto& fit : fits) fit = steadied(std::move(fit), *session, with_cs);
  const auto joined_fits = session != nullptr ? joined(fits, params.max_agreement) : alone;

  ConsensusCtfOutput out{fits[0], {}};
  auto& fused = out.fused;
  fused.defocus_u = joined_fits.ctf.defocus_u;
  fused.defocus_v = joined_fits.ctf.defocus_v;
  fused.astigmatism_angle = joined_fits.ctf.astigmatism_angle;
  fused.phase_shift = joined_fits.ctf.phase_shift;
  fused.sigma_defocus = joined_fits.sigma_defocus;
  fused.sigma_astigmatism = joined_fits.sigma_astigmatism;
  fused.agreement = joined_fits.agreement;
  fused.difference = joined_fits.difference;
  fused.difference_z = joined_fits.difference_z;
  fused.quality.confidence = confidence_of(given, joined_fits);
  fused.method = "consensus";

  auto& verdict = out.verdict;
  verdict.micrograph = fused.micrograph;
  verdict.name = fused.name;
  verdict.defocus_u = fused.defocus_u;
  verdict.defocus_v = fused.defocus_v;
  verdict.astigmatism_angle = fused.astigmatism_angle;
  verdict.phase_shift = fused.phase_shift;
  verdict.sigma_defocus = fused.sigma_defocus;
  verdict.sigma_astigmatism = fused.sigma_astigmatism;
  verdict.agreement = joined_fits.agreement;
  verdict.agreement_alone = alone.agreement;
  verdict.difference = joined_fits.difference;
  verdict.difference_z = joined_fits.difference_z;
  verdict.used.assign(fits.size(), 0);
  for (const auto m : joined_fits.members) verdict.used[m] = 1;
  for (std::size_t i = 0; i < fits.size(); ++i) verdict.methods.push_back(method_of(fits[i], i));
  judge(params, fits, verdict);
  return out;
}

ConsensusCtfOutput ConsensusCtf::process(const ConsensusCtfInput& input, flow::Context& context) const {
  std::vector<CtfFit> fits{input.first};
  fits.insert(fits.end(), input.others.begin(), input.others.end());
  auto out = fuse(params, fits, input.session ? &*input.session : nullptr);
  const auto name =
      area_name(input.first.name.empty() ? input.first.micrograph : input.first.name) + "_ctf_consensus.star";
  out.fused.star = out.verdict.star = context.reference(name);
  io::write_star(context.output(name), ctf_file(out.fused, fits));
  return out;
}

template flow::Protocol protocol_of<ConsensusCtf>();

}  // namespace frazil::protocols
