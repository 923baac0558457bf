// What the microscope says of a movie, held against what was set for the session.
#pragma once

#include <vector>

#include "frazil/params/finding.hpp"
#include "frazil/protocols/import.hpp"

namespace frazil::protocols {

/// Exposure of one frame as the metadata file of the movie says; 0: it does not.
[[nodiscard]] Dose told_dose(const Movie& movie);

/// Pixel size, voltage and exposure per frame (EER: of the sensor, per raw frame) that the files of the microscope
/// tell.
[[nodiscard]] std::vector<flow::ToldValue> told_values(const Movie& movie, const ImportMoviesParams& set);

/// Pixel size, voltage, exposure and number of frames that the metadata file of a movie, or its header, tells
/// otherwise than they are set; an exposure that nobody tells. What a file does not say contradicts nothing.
[[nodiscard]] std::vector<Finding> contradictions(const Movie& movie, const ImportMoviesParams& set);

}  // namespace frazil::protocols
