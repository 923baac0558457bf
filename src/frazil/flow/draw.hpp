// A plan as a picture: steps in layers from the sources down, sets as lines between them.
#pragma once

#include <string>

#include "frazil/flow/workflow.hpp"

namespace frazil::flow {

/// SVG text that needs nothing beside itself. Boxes: steps, coloured by what they do; lines: inputs, named by their set
/// where a step has several; dashed: only membership (`where`) or a value that is waited for.
[[nodiscard]] std::string draw(const Plan& plan);

}  // namespace frazil::flow
