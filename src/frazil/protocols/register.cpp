#include "frazil/protocols/register.hpp"

namespace frazil::protocols {

const flow::Registry& registry() {
  static const flow::Registry all = [] {
    flow::Registry r;
    // One line for each protocol, in the order of the processing chain:
    // r.add(flow::make_protocol<AlignMovie>());
    return r;
  }();
  return all;
}

}  // namespace frazil::protocols
