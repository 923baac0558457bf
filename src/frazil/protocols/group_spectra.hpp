// Power spectra of groups of a movie's frames: what the sum's own spectrum loses to motion within it and to exposure
// weighting.
#pragma once

#include "frazil/algo/ctf/power_spectrum.hpp"
#include "frazil/algo/motion/detector.hpp"
#include "frazil/algo/motion/frames.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct GroupSpectra {
  ctf::PowerSpectrum whole;
  std::vector<ctf::RegionSpectrum> regions;
  int groups = 0;
};

/// Sums of `frames_per_group` neighbouring frames, moved by `field` where one is given, and the mean of their power
/// spectra. Frames at the end that make no whole group join the last one.
/// @throws Error(bad_input) as ctf::power_spectrum
[[nodiscard]] GroupSpectra group_spectra(const motion::FrameSource& frames, const motion::Detector& detector,
                                         const motion::MotionField* field, int frames_per_group, int box, int threads);

/// The same of a movie file as it is, neither aligned nor binned; `gain` may be empty. @throws
/// Error(not_found|corrupt|bad_input)
[[nodiscard]] GroupSpectra group_spectra_of_file(const std::string& movie, const std::string& gain, Angstrom pixel_size,
                                                 int frames_per_group, int box, flow::Context& context);

/// Writes amplitudes as an MRC stack, the whole first, then the parts. @return the record without `movie`, `micrograph`
/// and `name`
[[nodiscard]] Spectra write_spectra(const GroupSpectra& spectra, const std::string& file, flow::Context& context);
/// @throws Error(corrupt) when record and file do not fit
[[nodiscard]] GroupSpectra read_spectra(const Spectra& record, const flow::Context& context);

/// @throws Error(bad_input) when an amplitude spectrum holds values whose squares are no numbers, or is flat
void check_amplitude(const Image& amplitude);

}  // namespace frazil::protocols
