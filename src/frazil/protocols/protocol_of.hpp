// What a protocol's .cpp makes of it for the registry, so that its templates are compiled there and nowhere else.
#pragma once

#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

/// P with its types erased. At the end of its .cpp stands `template flow::Protocol protocol_of<P>();`.
template <class P>
flow::Protocol protocol_of() {
  if constexpr (requires(const P& source) { source.watch(); })
    return flow::make_source<P>();
  else
    return flow::make_protocol<P>();
}

}  // namespace frazil::protocols
