// consensus-ctf: joins two or more CTF estimates of each micrograph, and says whether they agree.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct ConsensusCtfParams {
  Angstrom max_agreement = 4_A;
  double max_difference = 0;

  static constexpr auto fields() {
    using P = ConsensusCtfParams;
    return std::tuple(
        field(&P::max_agreement, "max_agreement",
              "Estimates must agree within 90 degrees of phase to this resolution or finer, in every direction")
            .range(1_A, 100_A),
        field(&P::max_difference, "max_difference",
              "Largest difference of the mean defocus over the error bars; 0: no limit")
            .range(0, 1000)
            .advanced());
  }
};

struct ConsensusCtfInput {
  CtfFit first;
  std::vector<CtfFit> others;
  std::optional<CtfTrend> session;  ///< of the acquisition's first fits (a static trigger): its astigmatism and
                                    ///< spherical aberration steady those of each micrograph
  static constexpr auto ports() {
    using P = ConsensusCtfInput;
    return std::tuple(flow::port(&P::first, "ctf_fits"), flow::port(&P::others, "others"),
                      flow::port(&P::session, "session"));
  }
};

struct ConsensusCtfOutput {
  CtfFit fused;
  CtfConsensus verdict;
  static constexpr auto ports() {
    using P = ConsensusCtfOutput;
    return std::tuple(flow::port(&P::fused, "ctf_fits"), flow::port(&P::verdict, "consensus"));
  }
};

/// Joins the estimates; no files. With `session` each is first pulled towards the acquisition (ctf::pull_astigmatism,
/// ctf::pull_cs), which `quality.astigmatism_pull` and `quality.cs_pull` show: `optics` then has the spherical
/// aberration that the defocus goes with. `agreement_alone` is that of the estimates as they were.
/// @throws Error(bad_input) when there are fewer than two
[[nodiscard]] ConsensusCtfOutput fuse(const ConsensusCtfParams& params, std::vector<CtfFit> fits,
                                      const CtfTrend* session = nullptr);

/// The fused fit carries `agreement` and `difference`; filter-ctf sets it aside by them. Criteria and pictures are
/// those of the first estimate.
struct ConsensusCtf {
  static constexpr flow::Info info{
      .name = "consensus-ctf",
      .title = "CTF consensus",
      .version = 4,
      .help =
          "Join two or more CTF estimates of each micrograph by their error bars; tell to which resolution they agree, "
          "and whether that is enough; steady astigmatism and spherical aberration by those of the acquisition."};
  static constexpr std::string_view json_port = "consensus";
  using Params = ConsensusCtfParams;
  using Input = ConsensusCtfInput;
  using Output = ConsensusCtfOutput;
  Params params;

  /// Writes `<area>_ctf_consensus.star`: the fused row and, in a second table, its sources.
  [[nodiscard]] ConsensusCtfOutput process(const ConsensusCtfInput& input, flow::Context& context) const;
};

}  // namespace frazil::protocols
