// monitor-ctf: what the CTF fits of an acquisition say together, with alarms.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct MonitorCtfParams {
  double significance = 4;
  Angstrom least_offset = 1500_A;
  Degrees least_tilt = 8_deg;
  Degrees least_phase = 10_deg;
  double disagreement = 3;
  Angstrom least_astigmatism = 300_A;

  static constexpr auto fields() {
    using P = MonitorCtfParams;
    return std::tuple(
        field(&P::significance, "significance", "An alarm needs so many standard errors").range(2, 50),
        field(&P::least_offset, "least_offset", "Smaller differences of defocus found and asked are no alarm")
            .range(0_A, 100000_A),
        field(&P::least_tilt, "least_tilt", "Smaller differences of the tilt seen from that told are no alarm")
            .range(0_deg, 90_deg),
        field(&P::least_phase, "least_phase", "Smaller constant phases are no alarm").range(0_deg, 90_deg),
        field(&P::disagreement, "disagreement",
              "Alarm when the last estimates disagree so many times more than those before")
            .range(1, 100),
        field(&P::least_astigmatism, "least_astigmatism", "Changes of the mean astigmatism below this are no alarm")
            .range(0_A, 20000_A)
            .advanced());
  }
};

/// The trend with more fits; `previous` may be null.
[[nodiscard]] CtfTrend extend(const MonitorCtfParams& params, const CtfTrend* previous,
                              const std::vector<CtfFit>& batch);

/// A fold over CtfFit, the last hundred of them. Voltage, pixel size or Cs that are wrong leave every single fit good,
/// but the rings bend as if the spherical aberration were another one, defoci change by another factor than was asked,
/// and rings of ice and gold lie elsewhere (ctf::explain). Estimates are judged as they were before consensus-ctf moved
/// them. What is found repeats until the cause is gone.
struct MonitorCtf {
  static constexpr flow::Info info{.name = "monitor-ctf",
                                   .title = "CTF monitor",
                                   .version = 4,
                                   .help =
                                       "Watch the CTF fits of the whole acquisition: wrong voltage, pixel size or Cs, "
                                       "defocus that is not what was asked, tilt or phase plate not told, drift of the "
                                       "astigmatism, estimators that begin to disagree."};
  using Params = MonitorCtfParams;
  using Input = CtfFit;
  using Output = CtfTrend;
  Params params;

  [[nodiscard]] CtfTrend fold(const CtfTrend* previous, const std::vector<CtfFit>& batch, flow::Context& context) const;
};

}  // namespace frazil::protocols
