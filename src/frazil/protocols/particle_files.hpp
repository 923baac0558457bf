// Particles of several STAR files as one table and one set of images.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frazil/algo/class2d/particle_set.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// The rows of many particle files, in order, and what they need to be written again.
struct ParticleFiles {
  std::vector<io::OpticsGroup> groups;  ///< numbered from 1, equal ones merged
  io::StarTable
      table;  ///< "particles": the columns that all files have; rlnOpticsGroup renumbered, image names as found
  class2d::ParticleSet set;  ///< entry i is row i; images are read when asked for
};

/// Reads the STAR files of the records; records without particles are passed over.
/// @throws Error(bad_input) when there are none, boxes or pixel sizes differ, or an image or CTF column is missing
[[nodiscard]] ParticleFiles read_particles(const std::vector<Particles>& records, const flow::Context& context);

/// data_optics and data_particles, as RELION 3.1 and later read them.
void write_particles(const std::filesystem::path& path, const ParticleFiles& files, io::StarTable table);

/// Copy of some rows of a table, in the order given.
[[nodiscard]] io::StarTable pick_rows(const io::StarTable& table, const std::vector<std::size_t>& rows);

}  // namespace frazil::protocols
