// Particles of several STAR files as one table and one set of images.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frazil/algo/class2d/particle_set.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// The rows of many particle tables, in order.
struct ParticleTables {
  std::vector<io::OpticsGroup> groups;  ///< numbered from 1, equal ones of different files merged
  io::StarTable table;                  ///< "particles": the columns of all files, rlnOpticsGroup renumbered

  [[nodiscard]] const io::OpticsGroup& group_of(std::size_t row) const;
};

/// Puts tables together. A column that a file lacks gets what RELION takes where it is absent: 0, 1 for scale factors,
/// None for names. @throws Error(bad_input) where that would be no truth: defoci or positions that only some files have
[[nodiscard]] ParticleTables merge_tables(const std::vector<io::StarFile>& files);

/// What a table brings to those that it is put together with.
struct TablePart {
  std::vector<std::pair<std::string, bool>> columns;  ///< label, and whether a number stands in the first row
  std::vector<io::OpticsGroup> groups;
  std::string source;  ///< for messages
};

/// How tables are put together: made from their parts, in order; each part once is enough.
class TableMerge {
 public:
  /// Of a table with rows; none for one without. @throws Error as io::read_optics
  [[nodiscard]] static std::optional<TablePart> part_of(const io::StarFile& file);

  /// @return a number of the part, for `append`
  std::size_t add(const TablePart& part);
  /// No further parts. @throws Error(bad_input) as merge_tables
  void finish();
  [[nodiscard]] const std::vector<io::OpticsGroup>& groups() const { return groups_; }
  /// An empty table with all columns; after `finish`.
  [[nodiscard]] io::StarTable table() const;
  /// Adds the rows of a table that has this part.
  void append(const io::StarFile& file, std::size_t part, io::StarTable& to) const;
  /// What the optics groups of such a part are in the whole.
  [[nodiscard]] const std::vector<int>& numbers(std::size_t part) const { return numbers_.at(part); }

 private:
  std::vector<TablePart> parts_;
  std::vector<std::vector<int>> numbers_;  ///< by part and its group
  std::vector<io::OpticsGroup> groups_;
  std::vector<std::pair<std::string, bool>> columns_;
};

/// Where the image of each row lies.
struct ImagePlaces {
  std::vector<std::string> stacks;
  struct Place {
    std::size_t stack = 0;
    int index = 0;
  };
  std::vector<Place> of_row;
};

/// Merged tables with image names that whoever reads our tables finds, and the images themselves.
struct FoundParticles : ParticleTables {
  ImagePlaces images;
};

/// Reads the tables of the records; records without particles are passed over. Images are not opened, and a CTF is not
/// needed. @throws Error(bad_input) when there are no particles, or the records' boxes or pixel sizes differ;
/// Error(not_found) for a stack that is not there
[[nodiscard]] FoundParticles read_tables(const std::vector<Particles>& records, const flow::Context& context);

/// The same for work on images: all of one size and pixel, each with its CTF.
struct ParticleFiles : ParticleTables {
  class2d::ParticleSet set;  ///< entry i is row i; images are read when asked for
};

/// @throws as read_tables, and Error(bad_input) when a CTF is missing or optics groups differ in pixel or image size,
/// Error(unsupported) for images that are multiplied by their CTF
[[nodiscard]] ParticleFiles read_particles(const std::vector<Particles>& records, const flow::Context& context);

/// Refuses groups whose images have another pixel than `pixel_size` or another side than `box`, by number and size.
void check_sampling(const ParticleTables& tables, Angstrom pixel_size, int box, const std::string& star);

/// data_optics and data_particles, as RELION 3.1 and later read them.
void write_particles(const std::filesystem::path& path, const std::vector<io::OpticsGroup>& groups,
                     io::StarTable table);

/// Copy of some rows of a table, in the order given.
[[nodiscard]] io::StarTable pick_rows(const io::StarTable& table, const std::vector<std::size_t>& rows);

}  // namespace frazil::protocols
