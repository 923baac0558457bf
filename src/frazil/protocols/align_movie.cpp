#include "frazil/protocols/align_movie.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "frazil/algo/motion/frame_cache.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/files.hpp"
#include "frazil/image/ops.hpp"
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

motion::Detector detector_of(const Movie& movie, const AlignMovieParams& params, const flow::Context& context) {
  Image gain;
  if (!movie.gain.empty())
    gain = io::read_gain(context.input(movie.gain), movie.nx, movie.ny, static_cast<io::GainOrientation>(params.gain_orientation),
                         params.gain_use == GainUse::divide ? io::GainKind::divide : io::GainKind::multiply);
  return {movie.nx, movie.ny, std::move(gain), context.rng()()};
}

/// Frames of the range, decoded once where they fit.
motion::FrameCache frames_of(const io::MovieReader& reader, const Movie& movie, const FrameRange& range, const flow::Context& context) {
  const auto read = [&reader, &context, first = range.first - 1](int i, Counts& out) {
    context.check_cancelled();
    reader.read_counts(first + i, out);
  };
  return {movie.nx, movie.ny, range.last - range.first + 1, io::count_type_of(reader.info().type), movie.pixel_size, read, kept_bytes};
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
  const io::MovieReader reader(context.input(movie.path));
  if (reader.info().nx != movie.nx || reader.info().ny != movie.ny || reader.info().nz != movie.frames)
    throw Error(ErrorCode::corrupt, "{}: expected {} x {} pixels and {} frames, found {} x {} and {}", movie.path, movie.nx, movie.ny, movie.frames,
                reader.info().nx, reader.info().ny, reader.info().nz);
  const auto range = frame_range(params.frames, movie.frames);
  auto detector = detector_of(movie, params, context);
  const auto raw = frames_of(reader, movie, range, context).source();
  const motion::Exposure exposure{movie.dose_per_frame, movie.pre_exposure + movie.dose_per_frame * (range.first - 1), movie.optics.voltage};
  const auto alignment = motion::align_frames(raw, detector, exposure, {params.min_resolution, params.max_resolution, params.find_defects, context.threads()});
  context.progress(0.5, "aligned");

  const motion::MotionField field(alignment.track);
  const double corner_per_A = std::sqrt(0.5) / movie.pixel_size.value();
  const auto basis = motion::dose_basis(params.dose_weighting ? exposure : motion::Exposure{}, raw.count, corner_per_A);
  const auto sums = motion::sum_frames(raw, detector, field, basis, {params.binning, params.halves, context.threads()});
  context.progress(0.9, "summed");

  const std::string stem = area_name(movie.name.empty() ? movie.path : movie.name);
  AlignedMovie out;
  const auto mode = params.output_format == OutputFormat::f16 ? io::MrcMode::f16 : io::MrcMode::f32;
  io::write_image(context.output(stem + ".mrc"), sums.plain, mode);
  io::write_png_auto(context.output(stem + "_thumb.png"), thumbnail(sums.plain, thumbnail_px));
  out.micrograph = {context.reference(stem + ".mrc"), movie.name, sums.plain.nx(), sums.plain.ny(), sums.plain.pixel_size, movie.optics, false, context.reference(stem + "_thumb.png")};
  if (sums.weighted) {
    io::write_image(context.output(stem + "_DW.mrc"), *sums.weighted, mode);
    out.weighted = out.micrograph;
    out.weighted->path = context.reference(stem + "_DW.mrc");
    out.weighted->dose_weighted = true;
  }
  if (sums.odd && sums.even) {
    io::write_image(context.output(stem + "_ODD.mrc"), *sums.odd, mode);
    io::write_image(context.output(stem + "_EVN.mrc"), *sums.even, mode);
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
  m.defects = static_cast<int>(detector.defects().size());
  m.fixed_pattern = std::sqrt(alignment.fixed_pattern);
  return out;
}

int AlignMovie::memory_mib(const Movie& movie) const {
  constexpr double mib = 1024.0 * 1024.0;
  const double frame = 4.0 * movie.nx * movie.ny / mib, side = std::max(1.0, std::floor(0.45 * params.max_resolution / movie.pixel_size));
  // Decoded frames: all that fit, or at least one.
  const double kept = std::max(frame, std::min(static_cast<double>(kept_bytes) / mib, movie.frames * frame));
  // Beside them and the gain either two unaligned sums and the binned stack with its components, or the sums of the exposure basis (seven
  // rows at most). Those are transformed one by one, when the frames are gone.
  const double aligning = 2 * frame + 2.5 * std::min(movie.frames, 128) * frame / (side * side);
  const double summing = (movie.dose_per_frame > 0_e_per_A2 && params.dose_weighting ? 7 : 1) * (params.halves ? 2 : 1) * frame;
  return 64 + static_cast<int>(kept + frame + std::max(aligning, summing + (params.halves ? 2 : 0) * frame));
}

}  // namespace frazil::protocols
