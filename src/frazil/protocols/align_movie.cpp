#include "frazil/protocols/align_movie.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <iterator>

#include "frazil/algo/motion/event_sum.hpp"
#include "frazil/algo/motion/frame_cache.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/file_state.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/defects.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/protocols/detector_record.hpp"
#include "frazil/protocols/device.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/group_spectra.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/motion_files.hpp"
#include "frazil/protocols/motion_plot.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

constexpr int thumbnail_px = 512;
constexpr std::size_t kept_bytes = std::size_t{1} << 30U;  ///< of decoded frames

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

io::GainKind gain_kind(const Movie& movie, GainUse use) {
  switch (use) {
    case GainUse::automatic:
      break;
    case GainUse::multiply:
      return io::GainKind::multiply;
    case GainUse::divide:
      return io::GainKind::divide;
    case GainUse::average:
      return io::GainKind::average;
  }
  return io::usual_gain_kind(movie.gain, movie.raw_frames > 0);
}

/// How the gain file is turned and used.
struct GainState {
  io::GainOrientation orientation = io::GainOrientation::identity;
  io::GainKind kind = io::GainKind::multiply;
  [[nodiscard]] bool divided() const { return kind != io::GainKind::multiply; }
};

/// As the parameters say; where that does not fit the size and may be corrected, the first orientation that does.
GainState configured_gain(const Movie& movie, const AlignMovieParams& params, const flow::Context& context) {
  GainState state{params.gain_orientation, gain_kind(movie, params.gain_use)};
  if (movie.gain.empty() || params.gain_correction == GainCorrection::ask) return state;
  const auto info = io::read_info(context.input(movie.gain));
  const auto map = orientation_map(state.orientation, info.nx, info.ny);
  const bool fits = std::int64_t{map.swaps_sides() ? info.ny : info.nx} * movie.ny ==
                    std::int64_t{map.swaps_sides() ? info.nx : info.ny} * movie.nx;
  if (!fits) state.orientation = map.swaps_sides() ? io::GainOrientation::identity : io::GainOrientation::rotate_90;
  return state;
}

/// The gain reference of a movie, read once by each worker for all movies that come with it, and again when the file
/// has changed.
Image gain_of(const Movie& movie, const GainState& state, flow::Context& context) {
  const auto path = context.input(movie.gain);
  const auto key = fmt::format("gain {} {} {}x{} {} {}", path.string(), file_state(path), movie.nx, movie.ny,
                               static_cast<int>(state.orientation), static_cast<int>(state.kind));
  return context
      .cached<Image>(key, [&] { return io::read_gain(path, movie.nx, movie.ny, state.orientation, state.kind); })
      ->clone();
}

motion::Detector detector_of(const Movie& movie, const io::MovieReader& reader, const GainState& state,
                             flow::Context& context) {
  Image gain;
  if (!movie.gain.empty()) gain = gain_of(movie, state, context);
  motion::Detector detector(movie.nx, movie.ny, std::move(gain), context.rng()());
  if (!movie.defects.empty()) {
    const auto* eer = reader.eer();
    detector.add_defects(io::read_defects(context.input(movie.defects), movie.nx, movie.ny,
                                          eer != nullptr ? eer->index().nx : 0, eer != nullptr ? eer->index().ny : 0));
  }
  return detector;
}

/// What the pass over the frames tells of the camera; `before`: defects known without it.
CameraView camera_view(const motion::Alignment& alignment, const motion::Detector& detector, const GainState& state,
                       int frames, const std::vector<std::uint64_t>& before) {
  CameraView view{alignment.sum, detector.gain(), state.orientation, state.divided(), frames, 0, {}, {}};
  const auto& all = detector.defects();
  std::set_difference(all.begin(), all.end(), before.begin(), before.end(), std::back_inserter(view.found));
  const double mean = statistics(alignment.sum).mean / frames;
  view.noise_ratio = mean > 0 ? alignment.noise_variance / (mean * frames) : 0;
  const double pixels = static_cast<double>(alignment.sum.size()) / 4;  // every fourth row
  view.residual =
      gain::residual_of_sum(motion::noise_variance(alignment.sum), alignment.noise_variance, frames, mean, pixels);
  return view;
}

/// Independent pieces of work, side by side where there are threads.
void do_all(int threads, const std::vector<std::function<void()>>& work) {
  parallel_for(threads, work.size(), [&](std::size_t i) { work[i](); });
}

/// The movie, hashed while it is read. Electrons are decoded once to align them and once to add them up: their codes
/// stay in the memory that decoded frames take of other movies.
io::MovieReader open_movie(const Movie& movie, const flow::Context& context) {
  auto source = io::ByteSource::open_hashed(context.input(movie.path));
  if (movie.raw_frames > 0 && source.size() <= kept_bytes) source.hold(context.threads());
  return io::MovieReader(std::move(source), {movie.eer_grid, movie.raw_frames > 0 ? movie.frames : 0});
}

/// Frames of the range, decoded once where they fit.
motion::FrameCache frames_of(const io::MovieReader& reader, const Movie& movie, const FrameRange& range,
                             const flow::Context& context) {
  const auto read = [&reader, &context, first = range.first - 1](int i, Counts& out) {
    context.check_cancelled();
    reader.read_counts(first + i, out);
  };
  return {movie.nx,
          movie.ny,
          range.last - range.first + 1,
          reader.eer() != nullptr ? CountType::f32 : io::count_type_of(reader.info().type),
          movie.pixel_size,
          read,
          reader.eer() != nullptr ? 0 : kept_bytes};
}

/// Raw frames of the frames in a range.
motion::ElectronSource electrons_of(const io::EerFile& eer, const Movie& movie, const FrameRange& range,
                                    const flow::Context& context) {
  motion::ElectronSource source;
  source.nx = eer.index().nx, source.ny = eer.index().ny;
  source.cells_x = 1 << std::min(2, eer.index().codec.sub_x_bits),
  source.cells_y = 1 << std::min(2, eer.index().codec.sub_y_bits);
  source.first = io::raw_frames_of(range.first - 1, movie.frames, movie.raw_frames).first;
  for (int f = range.first - 1; f < range.last; ++f)
    source.begin.push_back(io::raw_frames_of(f, movie.frames, movie.raw_frames).first - source.first);
  source.begin.push_back(io::raw_frames_of(range.last - 1, movie.frames, movie.raw_frames).second - source.first);
  source.pixel_size = movie.pixel_size;
  source.read = [&eer, &context](int raw, int first_row, int last_row, std::vector<Electron>& scratch) {
    context.check_cancelled();
    return eer.electrons(raw, first_row, last_row, scratch);
  };
  source.is_whole = [&eer](int raw) { return eer.is_whole(raw); };
  return source;
}

/// Spectra of groups of about `spectra_dose`, aligned.
Spectra describe_spectra(const Movie& movie, const AlignMovieParams& params, const motion::FrameSource& frames,
                         const motion::Detector& detector, const motion::MotionField& field, const std::string& stem,
                         flow::Context& context) {
  constexpr int usual_group = 4, box = 512;
  const int size = movie.dose_per_frame > 0_e_per_A2
                       ? std::max(1, static_cast<int>(std::lround(params.spectra_dose / movie.dose_per_frame)))
                       : usual_group;
  auto record = write_spectra(group_spectra(frames, detector, &field, size, box, context.threads()),
                              stem + "_spectra.mrcs", context);
  record.movie = movie.path;
  record.micrograph = context.reference(stem + ".mrc");
  record.name = movie.name;
  return record;
}

/// Underfocus positive.
std::optional<Angstrom> asked_defocus(const ExposureInfo& exposure) {
  constexpr double A_per_um = 1e4;
  if (!exposure.applied_defocus_um) return std::nullopt;
  return Angstrom(-A_per_um * *exposure.applied_defocus_um);
}

std::optional<Degrees> stage_tilt(const ExposureInfo& exposure) {
  if (!exposure.stage_tilt_deg) return std::nullopt;
  return Degrees(*exposure.stage_tilt_deg);
}

/// What the alignment found, in the words of the record; the micrographs' paths are the caller's to fill in.
Motion motion_record(const Movie& movie, const io::MovieReader& reader, const motion::Alignment& alignment,
                     const motion::Detector& detector, int frames, const std::string& stem,
                     const flow::Context& context) {
  Motion m;
  m.movie = movie.path;
  m.frames = frames;
  m.pixel_size = movie.pixel_size;
  for (const auto& s : alignment.track) m.shifts_px.push_back({s.x, s.y});
  m.shift_sigma_px = alignment.sigma_px;
  m.total_path = alignment.path.total_path;
  m.net_drift = alignment.path.net_drift;
  m.max_step = alignment.path.max_step;
  m.motion_field = context.reference(stem + "_field.json");
  m.star = context.reference(stem + "_motion.star");
  m.plot = context.reference(stem + "_motion.png");
  m.local_amplitude = alignment.local.amplitude;
  if (!alignment.field.is_global()) m.local_model = m.star;
  m.dose = movie.dose_per_frame * frames;
  if (const auto* eer = reader.eer()) {
    m.raw_frames = eer->raw_frames();
    m.broken_raw_frames = eer->broken_frames(context.threads());
    m.broken_raw_percent = 100.0 * m.broken_raw_frames / m.raw_frames;
    m.eer_frames_per_fraction = movie.eer_frames_per_fraction;
    m.eer_dose_per_fraction = movie.dose_per_frame;
  }
  m.defects = static_cast<int>(detector.defects().size());
  m.fixed_pattern = std::sqrt(alignment.fixed_pattern);
  return m;
}

}  // namespace

FrameRange frame_range(const std::string& text, int frames) {
  FrameRange range{1, frames};
  if (!text.empty()) {
    const auto dash = text.find('-');
    const auto first = whole_number(std::string_view(text).substr(0, dash));
    const auto rest = dash == std::string::npos ? std::string_view(text) : std::string_view(text).substr(dash + 1);
    const auto last = rest.empty() ? std::optional(frames) : whole_number(rest);
    if (!first || !last)
      throw Error(ErrorCode::bad_input, "frames: expected a range such as 2-15 or 3-, found \"{}\"", text);
    range = {*first, *last};
  }
  if (range.first < 1 || range.last > frames || range.first > range.last)
    throw Error(ErrorCode::bad_input, "frames: the movie holds frames 1 to {}, asked for {} to {}", frames, range.first,
                range.last);
  return range;
}

AlignedMovie AlignMovie::process(const Movie& movie, flow::Context& context) const {
  const auto reader = open_movie(movie, context);
  if (reader.info().nx != movie.nx || reader.info().ny != movie.ny || reader.info().nz != movie.frames)
    throw Error(ErrorCode::corrupt, "{}: expected {} x {} pixels and {} frames, found {} x {} and {}", movie.path,
                movie.nx, movie.ny, movie.frames, reader.info().nx, reader.info().ny, reader.info().nz);
  const auto range = frame_range(params.frames, movie.frames);
  auto gain_state = configured_gain(movie, params, context);
  const auto cache = frames_of(reader, movie, range, context);
  std::optional<motion::Detector> read_detector;
  do_all(context.threads(), {[&] { read_detector.emplace(detector_of(movie, reader, gain_state, context)); },
                             [&] { cache.load(context.threads()); }});
  motion::Detector& detector = *read_detector;
  const auto raw = cache.source();
  const motion::Exposure exposure{movie.dose_per_frame, movie.pre_exposure + movie.dose_per_frame * (range.first - 1),
                                  movie.optics.voltage};
  motion::AlignParams align_params = params;
  align_params.threads = context.threads();
  align_params.backend = backend_of(context, &device::Backends::motion);
  auto known = detector.defects();
  auto alignment = motion::align_frames(raw, detector, exposure, align_params);
  const auto view = [&] { return camera_view(alignment, detector, gain_state, raw.count, known); };
  std::optional<gain::Check> check;
  if (params.gain_correction == GainCorrection::apply) check = check_used_gain(view());
  if (check && check->found() &&
      (check->orientation != gain_state.orientation || check->inverted != gain_state.divided())) {
    if (check->inverted != gain_state.divided())
      gain_state.kind = check->inverted ? io::GainKind::divide : io::GainKind::multiply;
    gain_state.orientation = check->orientation;
    detector = detector_of(movie, reader, gain_state, context);
    known = detector.defects();
    alignment = motion::align_frames(raw, detector, exposure, align_params);
    check = check_used_gain(view());
  }
  const std::string stem = area_name(movie.name.empty() ? movie.path : movie.name);
  context.progress(0.5, "aligned");
  AlignedMovie out;
  if (params.spectra) out.spectra = describe_spectra(movie, params, raw, detector, alignment.field, stem, context);

  const double corner_per_A = std::sqrt(0.5) / movie.pixel_size.value();
  const auto basis = motion::dose_basis(params.dose_weighting ? exposure : motion::Exposure{}, raw.count, corner_per_A);
  std::vector<std::uint64_t> found;
  const auto seed = context.rng()();
  const motion::SumParams sum_params{params.binning, params.halves, context.threads(), align_params.backend};
  motion::Sums sums;
  do_all(context.threads(), {[&] {
                               sums = reader.eer() != nullptr
                                          ? motion::sum_electrons(electrons_of(*reader.eer(), movie, range, context),
                                                                  detector, alignment.field, basis, seed, sum_params)
                                          : motion::sum_frames(raw, detector, alignment.field, basis, sum_params);
                             },
                             [&] {
                               const auto seen = view();
                               out.detector = detector_record(movie, seen, check ? *check : check_used_gain(seen));
                               found = seen.found;
                               alignment.sum = Image();
                             }});
  context.has_read(movie.path, reader.content_hash());
  context.progress(0.9, "summed");

  const auto mode = params.output_format == OutputFormat::f16 ? io::MrcMode::f16 : io::MrcMode::f32;
  std::vector<std::function<void()>> files;
  const auto file = [&](const std::string& end, const auto& write) {
    files.emplace_back([path = context.output(stem + end), write] { write(path); });
  };
  const auto image_file = [&](const std::string& end, const Image& image) {
    check_finite(image.pixels(), stem + end);
    file(end, [&image, mode](const auto& path) { io::write_image(path, image, mode); });
  };
  image_file(".mrc", sums.plain);
  file("_thumb.png", [&](const auto& path) { io::write_png_auto(path, thumbnail(sums.plain, thumbnail_px)); });
  out.micrograph = {.path = context.reference(stem + ".mrc"),
                    .name = movie.name,
                    .nx = sums.plain.nx(),
                    .ny = sums.plain.ny(),
                    .pixel_size = sums.plain.pixel_size,
                    .optics = movie.optics,
                    .asked_defocus = asked_defocus(movie.exposure),
                    .stage_tilt = stage_tilt(movie.exposure),
                    .thumbnail = context.reference(stem + "_thumb.png")};
  if (sums.weighted) {
    image_file("_DW.mrc", *sums.weighted);
    out.weighted = out.micrograph;
    out.weighted->path = context.reference(stem + "_DW.mrc");
    out.weighted->dose_weighted = true;
  }
  if (sums.odd && sums.even) {
    image_file("_ODD.mrc", *sums.odd);
    image_file("_EVN.mrc", *sums.even);
  }
  std::optional<motion::ThirdOrder> third_order;
  if (!alignment.field.is_global())
    third_order = motion::fit_third_order(alignment.field, alignment.track, movie.nx, movie.ny).model;
  io::write_star(context.output(stem + "_motion.star"),
                 motion_star(movie, range.first, params.binning, alignment.track, third_order));
  write_text(context.output(stem + "_field.json"), field_json(alignment, movie.nx, movie.ny).dump());
  file("_motion.png",
       [&](const auto& path) { io::write_png(path, plot_motion(alignment, movie.nx, movie.ny, movie.pixel_size)); });
  if (!found.empty()) {
    file("_defects.txt", [&](const auto& path) { write_defects(path, found, movie.nx); });
    out.detector.defects = context.reference(stem + "_defects.txt");
  }
  do_all(context.threads(), files);

  out.motion = motion_record(movie, reader, alignment, detector, raw.count, stem, context);
  out.motion.micrograph = out.micrograph.path;
  if (out.weighted) out.motion.micrograph_dw = out.weighted->path;
  if (out.spectra) out.motion.spectra = out.spectra->path;
  return out;
}

namespace {

/// Runs a check; what it refuses is a problem.
template <class Check>
void note_refusal(flow::Foresight& seen, AlarmKind kind, std::string about, std::string advice, Check check) {
  try {
    check();
  } catch (const Error& error) {
    seen.problems.push_back(
        {.kind = kind, .about = std::move(about), .text = error.what(), .advice = std::move(advice)});
  }
}

/// Reads the gain reference as the alignment will. @throws Error if it will not do
void foresee_gain(const Movie& movie, const AlignMovieParams& params, const flow::Context& context,
                  std::vector<Finding>& findings) {
  const auto path = context.input(movie.gain);
  const auto state = configured_gain(movie, params, context);
  const auto info = io::read_info(path);
  const auto map = orientation_map(state.orientation, info.nx, info.ny);
  const bool fits_turned = std::int64_t{map.swaps_sides() ? info.nx : info.ny} * movie.ny ==
                               std::int64_t{map.swaps_sides() ? info.ny : info.nx} * movie.nx &&
                           info.nx != info.ny;
  if (fits_turned)
    throw Error(
        ErrorCode::bad_input,
        "{}: the gain reference has {} x {} pixels, the movie {} x {}: it lies on its side; gain_correction=apply "
        "turns it",
        path.string(), info.nx, info.ny, movie.nx, movie.ny);
  const auto gain = io::read_gain(path, movie.nx, movie.ny, state.orientation, state.kind);
  const auto [least, most] = std::minmax_element(gain.pixels().begin(), gain.pixels().end());
  constexpr double rounding = 1e-6;  // of 32-bit numbers
  if (*most - *least > rounding * *most) return;
  findings.push_back({.kind = AlarmKind::gain,
                      .text = fmt::format("{}: the gain reference is the same everywhere: it corrects nothing",
                                          path.filename().string()),
                      .seen = fmt::format("{:g} in every pixel", *most),
                      .expected = "factors that differ from pixel to pixel",
                      .advice = "Give the reference that the camera wrote for this session (gain)"});
}

}  // namespace

flow::Foresight AlignMovie::foresee(const Movie& movie, const flow::Context& context) const {
  flow::Foresight seen;
  note_refusal(seen, AlarmKind::frames, "range", "Ask for frames that the movies have (frames)",
               [&] { (void)frame_range(params.frames, movie.frames); });
  if (!movie.gain.empty())
    note_refusal(seen, AlarmKind::gain, "file", "Give the gain reference of this camera and mode (gain)",
                 [&] { foresee_gain(movie, params, context, seen.findings); });
  if (movie.defects.empty()) return seen;
  note_refusal(seen, AlarmKind::gain, "defects", "Give the defects of this camera and mode (defects)", [&] {
    const io::MovieReader reader(context.input(movie.path), {movie.eer_grid, movie.raw_frames > 0 ? movie.frames : 0});
    const auto* eer = reader.eer();
    (void)io::read_defects(context.input(movie.defects), movie.nx, movie.ny, eer != nullptr ? eer->index().nx : 0,
                           eer != nullptr ? eer->index().ny : 0);
  });
  return seen;
}

double AlignMovie::bytes_written(const Movie& movie) const {
  const double pixels = movie.nx / params.binning * (movie.ny / params.binning);
  const int sums = 1 + (params.dose_weighting && movie.dose_per_frame > 0_e_per_A2 ? 1 : 0) + (params.halves ? 2 : 0);
  return pixels * sums * (params.output_format == OutputFormat::f16 ? 2 : 4);
}

std::vector<flow::Withheld> AlignMovie::withholds(const Movie& movie) const {
  std::vector<flow::Withheld> list;
  if (!params.dose_weighting)
    list.push_back({"micrographs_dw", "dose_weighting is off"});
  else if (!(movie.dose_per_frame > 0_e_per_A2))
    list.push_back({"micrographs_dw", "the movies have no exposure per frame (dose_per_frame)"});
  if (!params.spectra) list.push_back({"spectra", "spectra is off"});
  return list;
}

int AlignMovie::memory_mib(const Movie& movie) const {
  constexpr double mib = 1024.0 * 1024.0;
  const double frame = 4.0 * movie.nx * movie.ny / mib,
               side = std::max(1.0, std::floor(0.45 * params.max_resolution / movie.pixel_size));
  // Decoded frames: all that fit, or at least one.
  const double kept = std::max(frame, std::min(static_cast<double>(kept_bytes) / mib, movie.frames * frame));
  // Beside them and the gain either two unaligned sums and the binned stack with its components (of whole frames or of
  // tiles, at most as much again as the stack), or the sums of the exposure basis (seven rows at most), while the
  // camera is described from an unaligned sum. Those of the basis are transformed one by one, when the frames are gone.
  const double aligning = 2 * frame + 2.5 * std::min(movie.frames, 128) * frame / (side * side);
  const double rows = movie.dose_per_frame > 0_e_per_A2 && params.dose_weighting ? 7 : 1;
  double summing = rows * (params.halves ? 2 : 1) * frame + (params.halves ? 2 : 0) * frame + 2 * frame;
  // Electrons are summed on a grid twice as fine as the sensor's, unless the movie's own is finer.
  if (movie.raw_frames > 0)
    summing = (rows * (params.halves ? 2 : 1) + 2) * frame * (movie.eer_grid <= EerGrid::k4 ? 4 : 1) +
              (params.halves ? 4 : 2) * frame;
  constexpr int base = 64 + 144;  // the program, and freed blocks that are kept for the next image
  return base + static_cast<int>(kept + frame + std::max(aligning, summing));
}

std::vector<flow::Device> AlignMovie::devices() { return devices_for(&device::Backends::motion); }

template flow::Protocol protocol_of<AlignMovie>();

}  // namespace frazil::protocols
