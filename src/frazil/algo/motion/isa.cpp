#include "frazil/algo/motion/isa.hpp"

#include <hwy/targets.h>

#include "frazil/base/error.hpp"

namespace frazil::motion {
namespace {

constexpr auto wide = HWY_AVX3 | HWY_AVX3_DL;

}  // namespace

void pin_isa(std::string_view name) {
  hwy::DisableTargets(0);
  if (name == "best") return;
  if (name == "avx2") return hwy::DisableTargets(wide);
  if (name != "avx512") throw Error(ErrorCode::bad_input, "--isa {}: expected avx2, avx512 or best", name);
  if ((hwy::SupportedTargets() & wide) == 0)
    throw Error(ErrorCode::unsupported, "--isa avx512: this CPU has no AVX-512; avx2 gives the same results");
}

std::string isa() { return (hwy::SupportedTargets() & wide) != 0 ? "avx512" : "avx2"; }

}  // namespace frazil::motion
