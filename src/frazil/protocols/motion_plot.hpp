// The picture of a movie's motion: the track with its errors, and how far the field departs from it.
#pragma once

#include "frazil/algo/motion/align.hpp"
#include "frazil/io/picture.hpp"

namespace frazil::protocols {

/// Left: the mean track of the frames in Å, from red (first) to blue (last), crosses one standard error long to each
/// side. Right, where there is local motion: at 8 places along each axis the path of the specimen against that track,
/// drawn larger than the field, with a bar that tells how long it is in Å. Both follow the specimen (the opposite of
/// the shifts), row 0 of the movie at the top.
[[nodiscard]] io::Picture plot_motion(const motion::Alignment& alignment, int nx, int ny, Angstrom pixel_size);

}  // namespace frazil::protocols
