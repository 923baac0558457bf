// What the microscope's software says about an exposure: EPU names and XML files, SerialEM mdoc files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace frazil::io {

/// Where and how one movie was taken. What is not known is empty.
struct ExposureInfo {
  std::string grid_square, hole, shot;  ///< names within the session; a shot is one place of the template repeated at every hole
  std::string acquired;                 ///< date and time as written, ISO 8601 where the program writes it
  std::optional<double> stage_x_um, stage_y_um, stage_z_um;
  std::optional<double> beam_shift_x, beam_shift_y;  ///< in the units of the program (EPU: scan units; SerialEM: image shift in µm)
  std::optional<double> applied_defocus_um;          ///< as asked of the microscope, underfocus negative
  std::optional<double> pixel_size_A, voltage_kV;

  friend bool operator==(const ExposureInfo&, const ExposureInfo&) = default;
};

/// Parts of "FoilHole_H_Data_A_B_YYYYMMDD_HHMMSS…" (B may be missing a digit group, as EPU versions differ) and of the folder
/// "GridSquare_S" above it. Empty when the name is none of EPU's.
[[nodiscard]] std::optional<ExposureInfo> parse_epu_name(const std::filesystem::path& path);

/// The XML file of an EPU exposure. @throws Error(corrupt) if it is no such XML
[[nodiscard]] ExposureInfo parse_epu_xml(std::string_view text, const std::string& name);

/// The section of a SerialEM mdoc that describes a frame file. @throws Error(corrupt) if there is no key at all
[[nodiscard]] ExposureInfo parse_mdoc(std::string_view text, const std::string& name);

/// All that is known of a movie: from its name and from the metadata file beside it ("x.xml" for "x_fractions.tiff", "x.tif.mdoc"),
/// or below `metadata` in the same subfolder. A metadata file that cannot be read counts as missing.
/// @param relative  path of the movie below the watched folder
[[nodiscard]] std::optional<ExposureInfo> find_exposure_info(const std::filesystem::path& movie, const std::filesystem::path& relative,
                                                             const std::filesystem::path& metadata);

/// Name of the optics group: exposures with the same beam shift template share it. Empty: unknown.
[[nodiscard]] std::string beam_shift_group(const ExposureInfo& info);

}  // namespace frazil::io
