// A session without images: every protocol with its ports, parameters and keys, its results made up instead of
// computed.
#pragma once

#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

struct RehearsalParams {
  int particles = 200;   ///< mean number of particles of a micrograph
  bool pictures = true;  ///< small pictures and particle tables beside the records
};

/// The protocols of `real` as a rehearsal of a session runs them: sources take any file that is there, whatever it
/// holds (one that begins with "broken" or "growing" is so), and movies named "refused" fail; filters and monitors that
/// judge records alone run as they are; everything else returns records whose numbers are drawn from distributions like
/// those of a usual session of apoferritin (see rehearsal.cpp), seeded by the task as ever. The numbers mean nothing.
/// File names in records without a picture or table behind them name no file.
[[nodiscard]] flow::Registry rehearsal(const flow::Registry& real, const RehearsalParams& params);

}  // namespace frazil::protocols
