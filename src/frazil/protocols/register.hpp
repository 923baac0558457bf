// The table of contents: every protocol of the program.
#pragma once

#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

/// The registry with every built-in protocol, made once.
[[nodiscard]] const flow::Registry& registry();

}  // namespace frazil::protocols
