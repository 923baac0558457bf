#include "frazil/protocols/motion_files.hpp"

#include <algorithm>
#include <cmath>

namespace frazil::protocols {
namespace {

constexpr int field_nodes = 5;

/// Ten-thousandths of a pixel: the fit knows less, and files stay small.
double to_4_digits(double v) { return std::round(v * 1e4) / 1e4; }

}  // namespace

Json field_json(const motion::Alignment& alignment, int nx, int ny) {
  const auto& field = alignment.field;
  const auto nodes = [](int n) {
    std::vector<double> places;
    for (int i = 0; i < field_nodes; ++i) places.push_back(static_cast<double>(i) * (n - 1) / (field_nodes - 1));
    return places;
  };
  const auto x = field.is_global() ? nodes(nx) : field.x_px(), y = field.is_global() ? nodes(ny) : field.y_px();
  Json shifts = Json::array(), errors = Json::array();
  auto error = alignment.local.sigma_px.begin();
  for (int t = 0; t < field.frames(); ++t) {
    Json frame = Json::array(), frame_errors = Json::array();
    for (const double py : y) {
      Json row = Json::array(), row_errors = Json::array();
      for (const double px : x) {
        const auto s = field.at(t, px, py);
        row.push_back({to_4_digits(s.x), to_4_digits(s.y)});
        if (error != alignment.local.sigma_px.end()) row_errors.push_back(to_4_digits(*error++));
      }
      frame.push_back(std::move(row));
      frame_errors.push_back(std::move(row_errors));
    }
    shifts.push_back(std::move(frame));
    errors.push_back(std::move(frame_errors));
  }
  Json json{{"x_px", x},
            {"y_px", y},
            {"shift_px", std::move(shifts)},
            {"model", name_of(alignment.local.used)},
            {"held_out_gain", to_4_digits(alignment.local.held_out_gain)},
            {"outlying_tiles", alignment.local.outlying_tiles}};
  if (!alignment.local.sigma_px.empty()) json["sigma_px"] = std::move(errors);
  return json;
}

io::StarFile motion_star(const Movie& movie, int first_frame, double binning, const std::vector<motion::Shift>& track,
                         const std::optional<motion::ThirdOrder>& local) {
  io::StarFile file;
  io::StarTable general("general",
                        {"rlnImageSizeX", "rlnImageSizeY", "rlnImageSizeZ", "rlnMicrographMovieName",
                         "rlnMicrographBinning", "rlnMicrographOriginalPixelSize", "rlnMicrographDoseRate",
                         "rlnMicrographPreExposure", "rlnVoltage", "rlnMicrographStartFrame", "rlnMotionModelVersion"},
                        false);
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
  general.set(0, 9, first_frame);
  general.set(0, 10, local ? 1 : 0);
  if (!movie.gain.empty()) general.set(0, general.add_column("rlnMicrographGainName"), movie.gain);
  if (!movie.defects.empty()) general.set(0, general.add_column("rlnMicrographDefectFile"), movie.defects);
  if (movie.raw_frames > 0) {  // RELION knows whole numbers of raw frames, and grids from the sensor's own on
    general.set(0, general.add_column("rlnEERGrouping"), static_cast<int>(std::lround(movie.eer_frames_per_fraction)));
    general.set(0, general.add_column("rlnEERUpsampling"), std::max(1, static_cast<int>(movie.eer_grid)));
  }
  io::StarTable shifts("global_shift", {"rlnMicrographFrameNumber", "rlnMicrographShiftX", "rlnMicrographShiftY"});
  for (std::size_t t = 0; t < track.size(); ++t) {
    const auto row = shifts.add_row();
    shifts.set(row, 0, first_frame + static_cast<int>(t));
    shifts.set(row, 1, track[t].x);
    shifts.set(row, 2, track[t].y);
  }
  file.add(std::move(general));
  file.add(std::move(shifts));
  if (!local) return file;
  io::StarTable model("local_motion_model", {"rlnMotionModelCoeffsIdx", "rlnMotionModelCoeff"});
  for (const auto* axis : {&local->x, &local->y})
    for (const double coefficient : *axis) {
      const auto row = model.add_row();
      model.set(row, 0, static_cast<int>(row));
      model.set(row, 1, coefficient);
    }
  file.add(std::move(model));
  return file;
}

}  // namespace frazil::protocols
