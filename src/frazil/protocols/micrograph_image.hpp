// The image of a micrograph as algorithms may take it: values that no detector gives are holes.
#pragma once

#include <span>
#include <string_view>

#include "frazil/flow/protocol.hpp"
#include "frazil/image/image.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// Reads it, with the pixel size of the record. Pixels beyond 10^12 in size become NaN: algorithms know how to pass
/// over what is not finite, but the squares of such values do not fit a float.
/// @throws Error(bad_input) naming the file when more than half of the pixels are like that or not finite, or all
/// others are equal
[[nodiscard]] Image read_micrograph(const Micrograph& micrograph, const flow::Context& context);

/// Before pixels of a result are written. @throws Error(bad_input) saying how many of them are not finite
void check_finite(std::span<const float> pixels, std::string_view what);

}  // namespace frazil::protocols
