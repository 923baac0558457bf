// monitor-ctf: what the CTF fits of an acquisition say together, with alarms.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct MonitorCtfParams {
  double significance = 4;
  Millimetre least_cs = 0.2_mm;
  double disagreement = 3;
  Angstrom least_astigmatism = 300_A;

  static constexpr auto fields() {
    using P = MonitorCtfParams;
    return std::tuple(
        field(&P::significance, "significance", "An alarm needs so many standard errors").range(2, 50),
        field(&P::least_cs, "least_cs", "Deviations of the spherical aberration below this are no alarm")
            .range(0_mm, 10_mm),
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

/// A fold over CtfFit. Voltage, pixel size or Cs that are wrong by a few per cent leave every single fit good, but the
/// rings bend as if the spherical aberration were another one; its weighted mean over the last hundred fits tells. The
/// alarms repeat until the cause is gone.
struct MonitorCtf {
  static constexpr flow::Info info{.name = "monitor-ctf",
                                   .title = "CTF monitor",
                                   .version = 2,
                                   .help =
                                       "Watch the CTF fits of the whole acquisition: wrong voltage, pixel size or Cs, "
                                       "drift of the astigmatism, estimators that begin to disagree."};
  using Params = MonitorCtfParams;
  using Input = CtfFit;
  using Output = CtfTrend;
  Params params;

  [[nodiscard]] CtfTrend fold(const CtfTrend* previous, const std::vector<CtfFit>& batch, flow::Context& context) const;
};

}  // namespace frazil::protocols
