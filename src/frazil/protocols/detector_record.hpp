// The record of what one movie tells of the camera, and lists of defective pixels as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "frazil/algo/gain/check.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// What align-movie knows after its pass over the frames.
struct CameraView {
  const Image& corrected_sum;                        ///< unaligned, gain applied, pixels of factor 0 replaced
  const Image& gain;                                 ///< factors as used, in the orientation of the movie; empty: none
  GainOrientation used = GainOrientation::identity;  ///< from the file to `gain`
  bool divided = false;
  int frames = 1;
  double noise_ratio = 0;            ///< variance of a pixel's counts in one frame over their mean
  gain::Residual residual;           ///< pattern left in the corrected frames
  std::vector<std::uint64_t> found;  ///< pixels (y · nx + x) found hot or dead
};

[[nodiscard]] gain::Check check_used_gain(const CameraView& view);
/// All fields but the file of defects.
[[nodiscard]] Detector detector_record(const Movie& movie, const CameraView& view, const gain::Check& check);

/// "x y 1 1" a line, the list that MotionCor and RELION read. Pixels are y · nx + x.
void write_defects(const std::filesystem::path& path, const std::vector<std::uint64_t>& pixels, int nx);
/// @throws Error(corrupt) naming the line
[[nodiscard]] std::vector<std::uint64_t> read_defects(const std::filesystem::path& path, int nx);

}  // namespace frazil::protocols
