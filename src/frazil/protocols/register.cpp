#include "frazil/protocols/register.hpp"

namespace frazil::protocols {

template <class P>
flow::Protocol protocol_of();  // of its .cpp, see protocol_of.hpp

// One line for each protocol, in the order of the processing chain.
static flow::Protocol (*const table[])() = {
    protocol_of<struct ImportMovies>,
    protocol_of<struct ImportMicrographs>,
    protocol_of<struct ImportParticles>,
    protocol_of<struct EstimateGain>,
    protocol_of<struct AlignMovie>,
    protocol_of<struct MonitorGain>,
    protocol_of<struct FilterDose>,
    protocol_of<struct ConsensusMotion>,
    protocol_of<struct FilterMotion>,
    protocol_of<struct EstimateCtf>,
    protocol_of<struct AssessCtf>,
    protocol_of<struct ConsensusCtf>,
    protocol_of<struct MonitorCtf>,
    protocol_of<struct FilterCtf>,
    protocol_of<struct PreprocessMicrograph>,
    protocol_of<struct MaskMicrograph>,
    protocol_of<struct Pick>,
    protocol_of<struct ExportCoordinates>,
    protocol_of<struct Extract>,
    protocol_of<struct ScreenParticles>,
    protocol_of<struct Union>,
    protocol_of<struct Intersect>,
    protocol_of<struct Split>,
    protocol_of<struct Sample>,
    protocol_of<struct FilterItems>,
    protocol_of<struct Classify2d>,
    protocol_of<struct SelectClasses>,
    protocol_of<struct InitialVolume>,
};

const flow::Registry& registry() {
  static const flow::Registry all = [] {
    flow::Registry r;
    for (const auto& protocol : table) r.add(protocol());
    return r;
  }();
  return all;
}

}  // namespace frazil::protocols
