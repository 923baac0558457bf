// Alignment of a movie's frames: from raw frames to a track and a field of displacements, with standard errors.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "frazil/algo/motion/backend.hpp"
#include "frazil/algo/motion/detector.hpp"
#include "frazil/algo/motion/dose.hpp"
#include "frazil/algo/motion/frames.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::motion {

/// How much freedom motion has: one track for the whole field; a smooth field, where held-out data say that it is
/// better; a field that may break, on finer tiles, under the same condition.
enum class MotionModel { global, smooth, flow };
constexpr auto names_of(MotionModel) { return std::array{"global", "smooth", "flow"}; }

struct AlignParams {
  MotionModel model = MotionModel::smooth;
  Angstrom min_resolution = 100_A;
  Angstrom max_resolution = 8_A;
  bool find_defects = true;
  // Said by whoever runs it, and no parameters:
  int threads = 1;                          ///< for one movie
  const Backend* backend = &cpu_backend();  ///< where it computes

  static constexpr auto fields() {
    using P = AlignParams;
    return std::tuple(
        field(&P::model, "model",
              "Motion over the field: global (one track), smooth (where held-out data say it is better), flow (may "
              "break)"),
        field(&P::min_resolution, "min_resolution", "Coarsest structure used for alignment")
            .range(30_A, 1000_A)
            .advanced(),
        field(&P::max_resolution, "max_resolution", "Finest structure used for alignment").range(2_A, 20_A).advanced(),
        field(&P::find_defects, "find_defects", "Look for hot and dead pixels in the unaligned sum").advanced());
  }
};

/// How far the specimen went: expected lengths of the true path, not lengths of the track, which is smoother.
struct PathStatistics {
  Angstrom total_path{}, net_drift{}, max_step{};
};

/// What was found of motion that differs over the field.
struct LocalMotion {
  MotionModel used =
      MotionModel::global;   ///< global: the field did not predict held-out components better than the track
  double held_out_gain = 0;  ///< log-likelihood of held-out components over that of the track alone; 0 when not tried
  Angstrom amplitude{};      ///< RMS over field and frames of the deviation from the track
  std::vector<double>
      sigma_px;  ///< [frame][y][x] of the field's nodes: standard error of a component, mean over time removed
  int tiles_x = 0, tiles_y = 0, outlying_tiles = 0;  ///< tiles that count less than half
};

/// Where the specimen went.
struct Alignment {
  std::vector<Shift> track;  ///< mean over the area, unbinned pixels, first frame at zero
  MotionField field;         ///< whole displacement, first frame at zero
  LocalMotion local;
  std::vector<double> amplitude;  ///< signal of each frame relative to a normal one
  double sigma_px = 0;            ///< standard error of a component of the track, mean offset removed, RMS over frames
  PathStatistics path;
  double fixed_pattern = 0;   ///< power of a residual fixed pattern over noise power in one frame
  Image sum;                  ///< unaligned, gain applied
  double noise_variance = 0;  ///< of one pixel's noise, summed over frames
  double acceleration_A = 0, step_A = 0, burst = 0;  ///< smoothness learned from the movie
  int iterations = 0;
};

/// Aligns the frames of one movie and finds its defective pixels.
///
/// Frames are read once, two or so in memory at a time; what stays is their binned copies (pixels of about
/// 0.45 max_resolution). Method: coarse.hpp for a start, track.hpp for the rest: the track that is most probable for a
/// Gaussian specimen of unknown position, whose spectrum is learned from the frames' agreement, under a prior of smooth
/// motion with a fast start whose strength is learned by evidence; local.hpp for what differs over the field. One frame
/// gives a track of one zero.
///
/// @param frames    raw frames
/// @param detector  corrects them; gains the defects found
/// @param exposure  of the frames in the list; unknown exposure weighs all alike
/// @throws Error(bad_input) when frames hold values that are not finite or the band of resolutions is empty
/// The same result for any number of threads. Conventions: "Shifts".
[[nodiscard]] Alignment align_frames(const FrameSource& frames, Detector& detector, const Exposure& exposure,
                                     const AlignParams& params = {});

}  // namespace frazil::motion
