// Streaming 2D classification: mini-batch expectation-maximisation that grows with the data.
#pragma once

#include <functional>
#include <string_view>

#include "frazil/algo/class2d/backend.hpp"
#include "frazil/algo/class2d/model.hpp"
#include "frazil/base/random.hpp"

namespace frazil::class2d {

/// What a run has of its surroundings: what the caller may want to hear meanwhile (both may be empty), and where it
/// computes.
struct Hooks {
  std::function<void(double fraction, std::string_view what)> progress = {};
  std::function<void()> check_cancelled = {};
  const Backend* backend = &cpu_backend();
};

/// Number of classes for that many particles.
[[nodiscard]] int default_classes(std::size_t particles);

/// Next version of a classification.
///
/// With no `previous`, the particles are gone through params.epochs times in mini-batches while the resolution rises
/// from params.start_resolution to what the averages support, then in whole passes. With a `previous` state, the
/// particles beyond those it has seen are new: mini-batches mix them with earlier ones drawn again, classes are added
/// as the number of particles asks for it, and everything ends with whole passes. Class sums forget exponentially
/// (online EM, Cappé & Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x).
///
/// @param previous   null, or the state after the first previous->assignments.size() particles of `particles`
/// @param diameter   used when params.diameter is zero
/// @throws Error(bad_input) when there are fewer particles than classes, or the diameter does not fit
[[nodiscard]] State classify(const State* previous, const ParticleSet& particles, Angstrom diameter,
                             const Params& params, const Rng& rng, int threads, const Hooks& hooks = {});

}  // namespace frazil::class2d
