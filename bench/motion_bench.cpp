// Times alignment and sum of one simulated movie and compares track and field with the truth:
// motion_bench FOLDER [THREADS] [SUM 0|1] [global|smooth|flow] where FOLDER is what `frazil simulate` wrote for a scene
// of movies.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/movie_file.hpp"

using namespace frazil;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// 2-D RMS difference of the whole field over the truth's nodes and frames, each node's mean over time removed; 90th
/// percentile over nodes; and the same of what a track alone would leave.
struct FieldError {
  double rms = 0, worst_tenth = 0;
};
FieldError field_error(const motion::MotionField& field, const nlohmann::json& truth) {
  const auto &xs = truth.at("x_px"), &ys = truth.at("y_px"), &shifts = truth.at("shift_px");
  const auto frames = static_cast<std::size_t>(field.frames());
  std::vector<double> squares;
  for (std::size_t j = 0; j < ys.size(); ++j)
    for (std::size_t i = 0; i < xs.size(); ++i) {
      double mx = 0, my = 0, sum = 0;
      std::vector<double> dx, dy;
      for (std::size_t t = 0; t < frames; ++t) {
        const auto s = field.at(static_cast<int>(t), xs[i].get<double>(), ys[j].get<double>());
        dx.push_back(s.x - shifts[t][j][i][0].get<double>());
        dy.push_back(s.y - shifts[t][j][i][1].get<double>());
        mx += dx.back() / static_cast<double>(frames), my += dy.back() / static_cast<double>(frames);
      }
      for (std::size_t t = 0; t < frames; ++t)
        sum += (std::pow(dx[t] - mx, 2) + std::pow(dy[t] - my, 2)) / static_cast<double>(frames);
      squares.push_back(sum);
    }
  FieldError error;
  for (const double s : squares) error.rms += s / static_cast<double>(squares.size());
  error.rms = std::sqrt(error.rms);
  std::sort(squares.begin(), squares.end());
  error.worst_tenth = std::sqrt(squares[squares.size() * 9 / 10]);
  return error;
}

/// 2-D RMS difference, mean offset removed.
double error_of(const std::vector<motion::Shift>& track, const nlohmann::json& truth) {
  double mx = 0, my = 0, sum = 0;
  const auto n = static_cast<double>(track.size());
  const auto x = [&](std::size_t t) { return track[t].x - truth[t][0].get<double>(); };
  const auto y = [&](std::size_t t) { return track[t].y - truth[t][1].get<double>(); };
  for (std::size_t t = 0; t < track.size(); ++t) mx += x(t) / n, my += y(t) / n;
  for (std::size_t t = 0; t < track.size(); ++t) sum += std::pow(x(t) - mx, 2) + std::pow(y(t) - my, 2);
  return std::sqrt(sum / n);
}

motion::MotionModel params_from_name(const std::string& name) {
  const auto& names = enum_names<motion::MotionModel>;
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw Error(ErrorCode::bad_input, "motion model {}: expected global, smooth or flow", name);
  return static_cast<motion::MotionModel>(found - names.begin());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "motion_bench FOLDER [THREADS] [SUM 0|1] [global|smooth|flow]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const int threads = argc > 2 ? std::stoi(argv[2]) : 1;
  const auto truth = nlohmann::json::parse(read_text(folder + "/truth.json"));
  const auto pixel = Angstrom(truth.at("pixel_size_A").get<double>());
  const motion::Exposure exposure{Dose(truth.at("dose_per_frame_e_per_A2").get<double>()), Dose(0),
                                  Kilovolt(truth.at("scene").at("voltage").get<double>())};
  for (const auto& area : truth.at("areas")) {
    const io::MovieReader reader(folder + "/" + area.at("file").get<std::string>());
    const int nx = reader.info().nx, ny = reader.info().ny;
    motion::Detector detector(nx, ny, io::read_gain(folder + "/references/gain.mrc", nx, ny), 1);
    motion::FrameSource raw{nx, ny, reader.info().nz, pixel, [&](int t, Image& out) { reader.read_frame(t, out); }};
    auto start = std::chrono::steady_clock::now();
    const auto model = argc > 4 ? params_from_name(argv[4]) : motion::MotionModel::smooth;
    const auto found = motion::align_frames(raw, detector, exposure, {.model = model, .threads = threads});
    const double spent = seconds_since(start);
    const auto whole = field_error(found.field, area.at("motion_field")),
               track = field_error(motion::MotionField(found.track), area.at("motion_field"));
    double sigma2 = 0;
    for (const double v : found.local.sigma_px) sigma2 += 2 * v * v / static_cast<double>(found.local.sigma_px.size());
    fmt::print(
        "{}: track {:.3f} px (claimed {:.3f}), field {:.3f} px (claimed {:.3f}; 90 % of places below {:.3f}; track "
        "alone {:.3f}), {} {} x {} tiles ({} out), gain {:.0f}, amplitude {:.2f} A, path {:.1f} A, step {:.2f} A, "
        "acceleration {:.2f} A, burst {:.0f}, {} rounds, {:.1f} s to align",
        area.at("file").get<std::string>(), error_of(found.track, area.at("shifts_px")),
        found.sigma_px * std::sqrt(2.0), whole.rms, std::sqrt(sigma2), whole.worst_tenth, track.rms,
        name_of(found.local.used), found.local.tiles_x, found.local.tiles_y, found.local.outlying_tiles,
        found.local.held_out_gain, found.local.amplitude.value(), found.path.total_path.value(), found.step_A,
        found.acceleration_A, found.burst, found.iterations, spent);
    if (argc <= 3 || std::string(argv[3]) != "0") {
      start = std::chrono::steady_clock::now();
      const auto basis = motion::dose_basis(exposure, raw.count, std::sqrt(0.5) / pixel.value());
      const auto sums = motion::sum_frames(raw, detector, found.field, basis, {.threads = threads});
      fmt::print(", {:.1f} s to sum with {} rows", seconds_since(start), basis.rank());
    }
    fmt::print("\n");
    if (std::getenv("FRAZIL_BENCH_TRACK") != nullptr)
      for (std::size_t t = 0; t < found.track.size(); ++t)
        fmt::print("  {:2} {:7.3f} {:7.3f}  truth {:7.3f} {:7.3f}  amplitude {:.2f}\n", t, found.track[t].x,
                   found.track[t].y, area.at("shifts_px")[t][0].get<double>(), area.at("shifts_px")[t][1].get<double>(),
                   found.amplitude[t]);
  }
  return 0;
}
