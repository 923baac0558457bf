#include "frazil/protocols/align_movie.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "frazil/algo/motion/event_sum.hpp"
#include "frazil/algo/motion/frame_cache.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/files.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/defects.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::protocols {
namespace {

constexpr int thumbnail_px = 512, field_nodes = 5;
constexpr std::size_t kept_bytes = std::size_t{1} << 30U;  ///< of decoded frames

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The field on a grid: {"x_px": […], "y_px": […], "shift_px": [frame][y][x][2]}.
Json field_json(const motion::MotionField& field, int nx, int ny) {
  const auto nodes = [](int n) {
    std::vector<double> places;
    for (int i = 0; i < field_nodes; ++i) places.push_back(static_cast<double>(i) * (n - 1) / (field_nodes - 1));
    return places;
  };
  const auto x = field.is_global() ? nodes(nx) : field.x_px(), y = field.is_global() ? nodes(ny) : field.y_px();
  Json shifts = Json::array();
  for (int t = 0; t < field.frames(); ++t) {
    Json frame = Json::array();
    for (const double py : y) {
      Json row = Json::array();
      for (const double px : x) {
        const auto s = field.at(t, px, py);
        row.push_back({s.x, s.y});
      }
      frame.push_back(std::move(row));
    }
    shifts.push_back(std::move(frame));
  }
  return {{"x_px", x}, {"y_px", y}, {"shift_px", std::move(shifts)}};
}

/// The per-movie STAR file that RELION's motion correction writes and its polishing reads; model version 0: no local model.
io::StarFile motion_star(const Movie& movie, const FrameRange& range, double binning, const std::vector<motion::Shift>& track) {
  io::StarFile file;
  io::StarTable general("general", {"rlnImageSizeX", "rlnImageSizeY", "rlnImageSizeZ", "rlnMicrographMovieName", "rlnMicrographBinning",
                                    "rlnMicrographOriginalPixelSize", "rlnMicrographDoseRate", "rlnMicrographPreExposure", "rlnVoltage",
                                    "rlnMicrographStartFrame", "rlnMotionModelVersion"}, false);
  general.add_row();
  general.set(0, 0, movie.nx);
  general.set(0, 1, movie.ny);
  general.set(0, 2, movie.frames);
  general.set(0, 3, movie.path);
  general.set(0, 4, binning);
  general.set(0, 5, movie.pixel_size.value());
  general.set(0, 6, movie.dose_per_frame.value());
  general.set(0, 7, movie.pre_exposure.value());
  general.set(0, 8, movie.optics.voltage.value());
  general.set(0, 9, range.first);
  general.set(0, 10, 0);
  if (!movie.gain.empty()) general.set(0, general.add_column("rlnMicrographGainName"), movie.gain);
  if (!movie.defects.empty()) general.set(0, general.add_column("rlnMicrographDefectFile"), movie.defects);
  if (movie.raw_frames > 0) {  // RELION knows whole numbers of raw frames, and grids from the sensor's own on
    general.set(0, general.add_column("rlnEERGrouping"), static_cast<int>(std::lround(movie.eer_frames_per_fraction)));
    general.set(0, general.add_column("rlnEERUpsampling"), std::max(1, static_cast<int>(movie.eer_grid)));
  }
  io::StarTable shifts("global_shift", {"rlnMicrographFrameNumber", "rlnMicrographShiftX", "rlnMicrographShiftY"});
  for (std::size_t t = 0; t < track.size(); ++t) {
    const auto row = shifts.add_row();
    shifts.set(row, 0, range.first + static_cast<int>(t));
    shifts.set(row, 1, track[t].x);
    shifts.set(row, 2, track[t].y);
  }
  file.add(std::move(general));
  file.add(std::move(shifts));
  return file;
}

io::GainKind gain_kind(const Movie& movie, GainUse use) {
  switch (use) {
    case GainUse::automatic: break;
    case GainUse::multiply: return io::GainKind::multiply;
    case GainUse::divide: return io::GainKind::divide;
    case GainUse::average: return io::GainKind::average;
  }
  return io::usual_gain_kind(movie.gain, movie.raw_frames > 0);
}

motion::Detector detector_of(const Movie& movie, const io::MovieReader& reader, const AlignMovieParams& params, const flow::Context& context) {
  Image gain;
  if (!movie.gain.empty())
    gain = io::read_gain(context.input(movie.gain), movie.nx, movie.ny, static_cast<io::GainOrientation>(params.gain_orientation), gain_kind(movie, params.gain_use));
  motion::Detector detector(movie.nx, movie.ny, std::move(gain), context.rng()());
  if (!movie.defects.empty()) {
    const auto* eer = reader.eer();
    detector.add_defects(io::read_defects(context.input(movie.defects), movie.nx, movie.ny, eer != nullptr ? eer->index().nx : 0, eer != nullptr ? eer->index().ny : 0));
  }
  return detector;
}

/// Frames of the range, decoded once where they fit.
motion::FrameCache frames_of(const io::MovieReader& reader, const Movie& movie, const FrameRange& range, const flow::Context& context) {
  const auto read = [&reader, &context, first = range.first - 1](int i, Counts& out) {
    context.check_cancelled();
    reader.read_counts(first + i, out);
  };
  return {movie.nx, movie.ny, range.last - range.first + 1, reader.eer() != nullptr ? CountType::f32 : io::count_type_of(reader.info().type), movie.pixel_size, read, reader.eer() != nullptr ? 0 : kept_bytes};
}

/// Raw frames of the frames in a range.
motion::ElectronSource electrons_of(const io::EerFile& eer, const Movie& movie, const FrameRange& range, const flow::Context& context) {
  motion::ElectronSource source;
  source.nx = eer.index().nx, source.ny = eer.index().ny;
  source.cells_x = 1 << std::min(2, eer.index().codec.sub_x_bits), source.cells_y = 1 << std::min(2, eer.index().codec.sub_y_bits);
  source.first = io::raw_frames_of(range.first - 1, movie.frames, movie.raw_frames).first;
  for (int f = range.first - 1; f < range.last; ++f) source.begin.push_back(io::raw_frames_of(f, movie.frames, movie.raw_frames).first - source.first);
  source.begin.push_back(io::raw_frames_of(range.last - 1, movie.frames, movie.raw_frames).second - source.first);
  source.pixel_size = movie.pixel_size;
  source.read = [&eer, &context](int raw, int first_row, int last_row, std::vector<Electron>& scratch) {
    context.check_cancelled();
    return eer.electrons(raw, first_row, last_row, scratch);
  };
  source.is_whole = [&eer](int raw) { return eer.is_whole(raw); };
  return source;
}

}  // namespace

FrameRange frame_range(const std::string& text, int frames) {
  FrameRange range{1, frames};
  if (!text.empty()) {
    const auto dash = text.find('-');
    const auto first = whole_number(std::string_view(text).substr(0, dash));
    const auto rest = dash == std::string::npos ? std::string_view(text) : std::string_view(text).substr(dash + 1);
    const auto last = rest.empty() ? std::optional(frames) : whole_number(rest);
    if (!first || !last) throw Error(ErrorCode::bad_input, "frames: expected a range such as 2-15 or 3-, found \"{}\"", text);
    range = {*first, *last};
  }
  if (range.first < 1 || range.last > frames || range.first > range.last)
    throw Error(ErrorCode::bad_input, "frames: the movie holds frames 1 to {}, asked for {} to {}", frames, range.first, range.last);
  return range;
}

AlignedMovie AlignMovie::process(const Movie& movie, flow::Context& context) const {
  const io::MovieReader reader(context.input(movie.path), {movie.eer_grid, movie.raw_frames > 0 ? movie.frames : 0});
  if (reader.info().nx != movie.nx || reader.info().ny != movie.ny || reader.info().nz != movie.frames)
    throw Error(ErrorCode::corrupt, "{}: expected {} x {} pixels and {} frames, found {} x {} and {}", movie.path, movie.nx, movie.ny, movie.frames,
                reader.info().nx, reader.info().ny, reader.info().nz);
  const auto range = frame_range(params.frames, movie.frames);
  auto detector = detector_of(movie, reader, params, context);
  const auto raw = frames_of(reader, movie, range, context).source();
  const motion::Exposure exposure{movie.dose_per_frame, movie.pre_exposure + movie.dose_per_frame * (range.first - 1), movie.optics.voltage};
  const auto alignment = motion::align_frames(raw, detector, exposure, {params.min_resolution, params.max_resolution, params.find_defects, context.threads()});
  context.progress(0.5, "aligned");

  const motion::MotionField field(alignment.track);
  const double corner_per_A = std::sqrt(0.5) / movie.pixel_size.value();
  const auto basis = motion::dose_basis(params.dose_weighting ? exposure : motion::Exposure{}, raw.count, corner_per_A);
  const auto sums = reader.eer() != nullptr
                        ? motion::sum_electrons(electrons_of(*reader.eer(), movie, range, context), detector, field, basis, context.rng()(), params.binning, context.threads())
                        : motion::sum_frames(raw, detector, field, basis, {params.binning, false, context.threads()});
  context.progress(0.9, "summed");

  const std::string stem = area_name(movie.name.empty() ? movie.path : movie.name);
  AlignedMovie out;
  io::write_image(context.output(stem + ".mrc"), sums.plain);
  io::write_png_auto(context.output(stem + "_thumb.png"), thumbnail(sums.plain, thumbnail_px));
  out.micrograph = {context.reference(stem + ".mrc"), movie.name, sums.plain.nx(), sums.plain.ny(), sums.plain.pixel_size, movie.optics, false, context.reference(stem + "_thumb.png")};
  if (sums.weighted) {
    io::write_image(context.output(stem + "_DW.mrc"), *sums.weighted);
    out.weighted = out.micrograph;
    out.weighted->path = context.reference(stem + "_DW.mrc");
    out.weighted->dose_weighted = true;
  }
  io::write_star(context.output(stem + "_motion.star"), motion_star(movie, range, params.binning, alignment.track));
  write_text(context.output(stem + "_field.json"), field_json(field, movie.nx, movie.ny).dump());

  Motion& m = out.motion;
  m.movie = movie.path;
  m.micrograph = out.micrograph.path;
  if (out.weighted) m.micrograph_dw = out.weighted->path;
  m.frames = raw.count;
  m.pixel_size = movie.pixel_size;
  for (const auto& s : alignment.track) m.shifts_px.push_back({s.x, s.y});
  m.shift_sigma_px = alignment.sigma_px;
  m.total_path = alignment.path.total_path;
  m.net_drift = alignment.path.net_drift;
  m.max_step = alignment.path.max_step;
  m.motion_field = context.reference(stem + "_field.json");
  m.star = context.reference(stem + "_motion.star");
  m.dose = movie.dose_per_frame * raw.count;
  if (const auto* eer = reader.eer()) {
    m.raw_frames = eer->raw_frames();
    m.broken_raw_frames = eer->broken_frames(context.threads());
    m.broken_raw_percent = 100.0 * m.broken_raw_frames / m.raw_frames;
    m.eer_frames_per_fraction = movie.eer_frames_per_fraction;
    m.eer_dose_per_fraction = movie.dose_per_frame;
  }
  m.defects = static_cast<int>(detector.defects().size());
  m.fixed_pattern = std::sqrt(alignment.fixed_pattern);
  return out;
}

int AlignMovie::memory_mib(const Movie& movie) const {
  const double frame = 4.0 * movie.nx * movie.ny / (1024.0 * 1024.0);
  const double side = std::max(1.0, std::floor(0.45 * params.max_resolution / movie.pixel_size));
  // Alignment: sum, gain, a frame and its copy a thread, binned stack and band. Sum: gain, frames, up to 7 accumulators, spectra.
  const double aligning = 6 * frame + 2.5 * movie.frames * frame / (side * side);
  const bool weighted = movie.dose_per_frame > 0_e_per_A2 && params.dose_weighting;
  // Electrons are summed on a grid twice as fine as the sensor's, unless the movie's own is finer.
  const double fine = frame * (movie.eer_grid <= EerGrid::k4 ? 4 : 1);
  const double summing = movie.raw_frames > 0 ? (weighted ? 9 : 4) * fine + 2 * frame : (weighted ? 12 : 6) * frame;
  return 64 + static_cast<int>(std::max(aligning, summing));
}

}  // namespace frazil::protocols
