#include "frazil/protocols/register.hpp"

#include "frazil/protocols/import.hpp"

namespace frazil::protocols {

const flow::Registry& registry() {
  static const flow::Registry all = [] {
    flow::Registry r;
    // One line for each protocol, in the order of the processing chain.
    r.add(flow::make_source<ImportMovies>());
    r.add(flow::make_source<ImportMicrographs>());
    r.add(flow::make_source<ImportParticles>());
    return r;
  }();
  return all;
}

}  // namespace frazil::protocols
