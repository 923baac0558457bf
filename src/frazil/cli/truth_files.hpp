// The truth of a simulated scene as files: truth.json with everything, truth.star with what RELION can hold.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/io/star.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::cli {

/// Keys of one area (docs/guide/simulator.md, "Truth files"): name, file, CTF, shifts, motion field, particles, junk.
[[nodiscard]] Json area_to_json(const sim::Scene& scene, const sim::AreaTruth& area, const std::string& file);
/// Keys that stand above the areas or particles: scene, specimens with their maps, camera.
[[nodiscard]] Json scene_to_json(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens);
[[nodiscard]] Json stack_to_json(const sim::ParticleStack& stack);

/// Tables optics, micrographs and particles. `files[i]` is the image of area i.
[[nodiscard]] io::StarFile areas_to_star(const sim::Scene& scene, const std::vector<sim::AreaTruth>& areas,
                                         const std::vector<std::string>& files);
/// Tables optics and particles; with `truth` poses, offsets and the specimen as rlnClassNumber (0: junk), else only
/// what a microscope session knows.
[[nodiscard]] io::StarFile stack_to_star(const sim::Scene& scene, const sim::ParticleStack& stack,
                                         const std::string& stack_name, bool truth);

}  // namespace frazil::cli
