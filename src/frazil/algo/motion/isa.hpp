// Which instruction set the hand-written kernels use.
#pragma once

#include <string>
#include <string_view>

namespace frazil::motion {

/// "avx2", "avx512" or "best" (the default). Kernels give the same bits with each: this is for measuring and for
/// checking that.
/// @throws Error(unsupported) when the CPU has not got it or the name is none of these
void pin_isa(std::string_view name);
/// What is in use: "avx2" or "avx512".
[[nodiscard]] std::string isa();

}  // namespace frazil::motion
