// One counted electron of a camera that records events.
#pragma once

#include <cstdint>

namespace frazil {

/// Where it fell: the centre of the smallest cell that the camera tells, in eighths of a sensor pixel from the sensor's
/// edge. Pixel (0, 0) covers 0 … 7.
struct Electron {
  std::uint16_t x8, y8;
};

}  // namespace frazil
