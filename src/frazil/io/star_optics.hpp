// Optics groups of RELION STAR files: table to records and back, for 3.1 and later and for 3.0.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "frazil/io/star.hpp"
#include "frazil/model/optics.hpp"

namespace frazil::io {

/// One row of data_optics. Sizes of 0 are absent in the file.
struct OpticsGroup {
  int id = 1;                         ///< rlnOpticsGroup, from 1
  std::string name = "opticsGroup1";  ///< rlnOpticsGroupName: that of the optics, or one made of the number
  Optics optics;
  Angstrom image_pixel_size{0};       ///< rlnImagePixelSize: of the particle images
  Angstrom micrograph_pixel_size{0};  ///< rlnMicrographPixelSize
  Angstrom original_pixel_size{0};    ///< rlnMicrographOriginalPixelSize: of the movies
  int image_size = 0;                 ///< rlnImageSize, pixels

  /// The first known of image, micrograph and original pixel size; 0 when none is.
  [[nodiscard]] Angstrom pixel_size() const;
};

/// Groups of a file and which one each row of a table belongs to.
struct OpticsGroups {
  std::vector<OpticsGroup> groups;
  std::vector<int> group_of_row;  ///< index into `groups`
};

/// "opticsGroup3": a name made of a number, as programs give it to groups without a name.
[[nodiscard]] bool is_numbered_group(std::string_view name);

/// Finds the group of the same optics and sizes, or adds it with the next number and a name that no other has. @return
/// its number
int add_group(std::vector<OpticsGroup>& groups, OpticsGroup wanted);
/// The same for all groups of one table: those that it tells apart stay apart, even where only their names differ; a
/// numbered name finds a group of equal values under another number. @return the number of each
std::vector<int> merge_groups(std::vector<OpticsGroup>& groups, const std::vector<OpticsGroup>& of_table);
/// data_optics; columns only for what at least one group has. Columns that we pass on stand last; a group that lacks
/// one of them gets what RELION takes where it is absent (0, [], None).
[[nodiscard]] StarTable optics_table(std::span<const OpticsGroup> groups);
[[nodiscard]] std::vector<OpticsGroup> parse_optics(const StarTable& table);
/// For the rows of `table` (which is one of `file`): by rlnOpticsGroup and data_optics, or in files of RELION 3.0 from
/// rlnVoltage, rlnSphericalAberration, rlnAmplitudeContrast and rlnDetectorPixelSize / rlnMagnification of each row.
/// @throws Error(corrupt) when a row names a group that is not there, or nothing tells the voltage
[[nodiscard]] OpticsGroups read_optics(const StarFile& file, const StarTable& table);

}  // namespace frazil::io
