#include "frazil/protocols/register.hpp"

#include "frazil/protocols/align_movie.hpp"
#include "frazil/protocols/assess_ctf.hpp"
#include "frazil/protocols/classify_2d.hpp"
#include "frazil/protocols/consensus_ctf.hpp"
#include "frazil/protocols/consensus_motion.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/protocols/estimate_gain.hpp"
#include "frazil/protocols/extract.hpp"
#include "frazil/protocols/filter_ctf.hpp"
#include "frazil/protocols/filter_dose.hpp"
#include "frazil/protocols/filter_motion.hpp"
#include "frazil/protocols/import.hpp"
#include "frazil/protocols/initial_volume.hpp"
#include "frazil/protocols/mask_micrograph.hpp"
#include "frazil/protocols/monitor_ctf.hpp"
#include "frazil/protocols/monitor_gain.hpp"
#include "frazil/protocols/pick.hpp"
#include "frazil/protocols/preprocess_micrograph.hpp"
#include "frazil/protocols/screen_particles.hpp"
#include "frazil/protocols/select_classes.hpp"
#include "frazil/protocols/set_tools.hpp"

namespace frazil::protocols {

const flow::Registry& registry() {
  static const flow::Registry all = [] {
    flow::Registry r;
    // One line for each protocol, in the order of the processing chain.
    r.add(flow::make_source<ImportMovies>());
    r.add(flow::make_source<ImportMicrographs>());
    r.add(flow::make_source<ImportParticles>());
    r.add(flow::make_protocol<EstimateGain>());
    r.add(flow::make_protocol<AlignMovie>());
    r.add(flow::make_protocol<MonitorGain>());
    r.add(flow::make_protocol<FilterDose>());
    r.add(flow::make_protocol<ConsensusMotion>());
    r.add(flow::make_protocol<FilterMotion>());
    r.add(flow::make_protocol<EstimateCtf>());
    r.add(flow::make_protocol<AssessCtf>());
    r.add(flow::make_protocol<ConsensusCtf>());
    r.add(flow::make_protocol<MonitorCtf>());
    r.add(flow::make_protocol<FilterCtf>());
    r.add(flow::make_protocol<PreprocessMicrograph>());
    r.add(flow::make_protocol<MaskMicrograph>());
    r.add(flow::make_protocol<Pick>());
    r.add(flow::make_protocol<ExportCoordinates>());
    r.add(flow::make_protocol<Extract>());
    r.add(flow::make_protocol<ScreenParticles>());
    r.add(flow::make_protocol<Union>());
    r.add(flow::make_protocol<Intersect>());
    r.add(flow::make_protocol<Split>());
    r.add(flow::make_protocol<Sample>());
    r.add(flow::make_protocol<FilterItems>());
    r.add(flow::make_protocol<Classify2d>());
    r.add(flow::make_protocol<SelectClasses>());
    r.add(flow::make_protocol<InitialVolume>());
    return r;
  }();
  return all;
}

}  // namespace frazil::protocols
