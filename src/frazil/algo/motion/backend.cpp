#include "frazil/algo/motion/backend.hpp"

namespace frazil::motion {
namespace {

class CpuSums final : public TrackSums {
 public:
  CpuSums(const Band& band, int threads) : band_(band), threads_(threads) {}
  std::array<Objective, 2> halves(const std::vector<double>& weight, const std::vector<double>& amplitude,
                                  const TrackA& track) const override {
    return evaluate_halves(band_, weight, amplitude, track, threads_);
  }
  std::array<std::vector<double>, 2> powers(const std::vector<double>& amplitude, const TrackA& track) const override {
    return power_of_sum(band_, amplitude, track, threads_);
  }

 private:
  const Band& band_;
  int threads_;
};

class Cpu final : public Backend {
 public:
  Band make_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
                 const Exposure& exposure, int threads) const override {
    return motion::make_band(frames, window, pixel_size, limits, exposure, threads);
  }
  std::unique_ptr<TrackSums> hold(const Band& band, int threads) const override {
    return std::make_unique<CpuSums>(band, threads);
  }
  std::vector<Image> warp_frames(const FrameSource& frames, const Detector& detector, const MotionField& field,
                                 const std::vector<std::vector<double>>& weights,
                                 const WarpParams& params) const override {
    return motion::warp_frames(frames, detector, field, weights, params);
  }
};

class ReferenceSums final : public TrackSums {
 public:
  explicit ReferenceSums(const Band& band) : band_(band) {}
  std::array<Objective, 2> halves(const std::vector<double>& weight, const std::vector<double>& amplitude,
                                  const TrackA& track) const override {
    return evaluate_halves_reference(band_, weight, amplitude, track);
  }
  std::array<std::vector<double>, 2> powers(const std::vector<double>& amplitude, const TrackA& track) const override {
    auto both = halves(std::vector<double>(static_cast<std::size_t>(band_.shells)), amplitude, track);
    return {std::move(both[0].sum_power), std::move(both[1].sum_power)};
  }

 private:
  const Band& band_;
};

class Reference final : public Backend {
 public:
  Band make_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
                 const Exposure& exposure, int) const override {
    return make_band_reference(frames, window, pixel_size, limits, exposure);
  }
  std::unique_ptr<TrackSums> hold(const Band& band, int) const override {
    return std::make_unique<ReferenceSums>(band);
  }
  std::vector<Image> warp_frames(const FrameSource& frames, const Detector& detector, const MotionField& field,
                                 const std::vector<std::vector<double>>& weights,
                                 const WarpParams& params) const override {
    return warp_frames_reference(frames, detector, field, weights, params.spline);
  }
};

}  // namespace

const Backend& cpu_backend() {
  static const Cpu backend;
  return backend;
}

const Backend& reference_backend() {
  static const Reference backend;
  return backend;
}

}  // namespace frazil::motion
