// The plain version of the sum: one exact Fourier shift a frame. What the fast one is tested against.
#include "frazil/algo/motion/sum.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {

Sums sum_frames_reference(const FrameSource& frames, const Detector& detector, const MotionField& field,
                          const Exposure& exposure) {
  expect(field.is_global() && field.frames() == frames.count, "the reference sums whole frames");
  Spectrum plain(frames.nx, frames.ny, frames.pixel_size), weighted(frames.nx, frames.ny, frames.pixel_size);
  for (int t = 0; t < frames.count; ++t) {
    Image frame;
    frames.read(t, frame);
    detector.correct(frame, t);
    Spectrum spectrum = fft(frame.view(), frames.pixel_size);
    const Shift s = field.at(t, 0, 0);
    fourier_shift(spectrum, s.x, s.y);
    for (std::size_t i = 0; i < spectrum.size(); ++i) plain.data()[i] += spectrum.data()[i];
    filter(spectrum, [&](double k) { return filter_weights(exposure, frames.count, k)[static_cast<std::size_t>(t)]; });
    for (std::size_t i = 0; i < spectrum.size(); ++i) weighted.data()[i] += spectrum.data()[i];
  }
  Sums sums;
  sums.plain = ifft(plain);
  if (exposure.per_frame > 0_e_per_A2) sums.weighted = ifft(weighted);
  return sums;
}

}  // namespace frazil::motion
