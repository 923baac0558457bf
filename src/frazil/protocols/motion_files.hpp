// Files that tell of a movie's motion: the field as JSON, and the STAR file that RELION's programs read.
#pragma once

#include <optional>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/polynomial.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/records.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::protocols {

/// The whole displacement on a grid, as the shifts that undo it, and where there is local motion the standard error of
/// a component:
/// {"x_px": […], "y_px": […], "shift_px": [frame][y][x][2], "sigma_px": [frame][y][x]}; and which model it is, what
/// held-out data gained by it, and how many tiles disagreed with the rest.
[[nodiscard]] Json field_json(const motion::Alignment& alignment, int nx, int ny);

/// The per-movie STAR file that RELION's motion correction writes and its CTF refinement and polishing read: global
/// shifts, and the local model where there is one (motion-model version 1, otherwise 0).
/// @param first_frame  of the sum, counted from 1
[[nodiscard]] io::StarFile motion_star(const Movie& movie, int first_frame, double binning,
                                       const std::vector<motion::Shift>& track,
                                       const std::optional<motion::ThirdOrder>& local);

}  // namespace frazil::protocols
