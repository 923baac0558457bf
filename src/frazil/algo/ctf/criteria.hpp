// Quality criteria of a fitted spectrum (definitions beside the formulas, criteria.cpp).
#pragma once

#include "frazil/algo/ctf/refine.hpp"
#include "frazil/model/ctf_quality.hpp"

namespace frazil::ctf {

/// All criteria but `confidence`, which needs the alternatives. The rings must have been weighed by the solution.
[[nodiscard]] CtfQuality criteria(const Rings& rings, const Waves& waves, const Solution& solution);

}  // namespace frazil::ctf
