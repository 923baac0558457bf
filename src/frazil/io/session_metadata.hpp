// What the microscope's software says about an exposure: EPU names and XML files, SerialEM mdoc files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "frazil/model/exposure_info.hpp"

namespace frazil::io {

/// Parts of "FoilHole_H_Data_A_B_YYYYMMDD_HHMMSS…" (B may be missing a digit group, as EPU versions differ) and of the
/// folder "GridSquare_S" above it. Empty when the name is none of EPU's.
[[nodiscard]] std::optional<ExposureInfo> parse_epu_name(const std::filesystem::path& path);

/// The XML file of an EPU exposure. @throws Error(corrupt) if it is no such XML
[[nodiscard]] ExposureInfo parse_epu_xml(std::string_view text, const std::string& name);

/// The section of a SerialEM mdoc that describes a frame file. @throws Error(corrupt) if there is no key at all
[[nodiscard]] ExposureInfo parse_mdoc(std::string_view text, const std::string& name);

/// All that is known of a movie: from its name and from the metadata file beside it ("x.xml" for "x_fractions.tiff",
/// "x.tif.mdoc"), or below the folder `metadata`, in the same subfolders as the movie or fewer. A metadata file that
/// cannot be read counts as missing.
[[nodiscard]] std::optional<ExposureInfo> find_exposure_info(const std::filesystem::path& movie,
                                                             const std::filesystem::path& metadata);

/// Whether such a metadata file is there and can be read.
[[nodiscard]] bool has_metadata_file(const std::filesystem::path& movie, const std::filesystem::path& metadata);

/// Name of the optics group: exposures at the same place of the beam shift template share their beam tilt. Empty:
/// unknown.
[[nodiscard]] std::string beam_shift_group(const ExposureInfo& info);

}  // namespace frazil::io
