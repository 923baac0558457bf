#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <functional>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/local_prior.hpp"
#include "frazil/algo/motion/polynomial.hpp"
#include "frazil/algo/motion/tiles.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

using Displacement = std::function<Shift(int frame, double x, double y)>;

struct LocalScene {
  int nx = 640, ny = 640, frames = 10;
  Angstrom pixel_size = 3_A;
  double contrast = 0.25, electrons_per_pixel = 9;
  Displacement motion;  ///< of the specimen, pixels
};

/// Cubic convolution (Keys 1981) between four values.
double cubic(const double p[4], double f) {
  return p[1] +
         0.5 * f * (p[2] - p[0] + f * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3] + f * (3 * (p[1] - p[2]) + p[3] - p[0])));
}

/// Texture of 12 to 80 Å moved by any displacement, counted.
std::vector<Image> movie(const LocalScene& scene, std::uint64_t seed) {
  constexpr int margin = 16;
  Rng rng(seed);
  Image noise(scene.nx + 2 * margin, scene.ny + 2 * margin, scene.pixel_size);
  for (auto& v : noise.pixels()) v = static_cast<float>(rng.normal());
  const Image texture = band_pass(noise, 80_A, 12_A);
  const double scale = scene.contrast / statistics(texture).stddev;
  std::vector<Image> frames;
  for (int t = 0; t < scene.frames; ++t) {
    Image frame(scene.nx, scene.ny, scene.pixel_size);
    for (int y = 0; y < scene.ny; ++y)
      for (int x = 0; x < scene.nx; ++x) {
        const Shift d = scene.motion(t, x, y);
        const double px = x + margin - d.x, py = y + margin - d.y;
        const int ix = static_cast<int>(px), iy = static_cast<int>(py);
        double rows[4];
        for (int j = 0; j < 4; ++j) {
          const float* row = texture.row(iy - 1 + j) + ix - 1;
          const double four[4] = {row[0], row[1], row[2], row[3]};
          rows[j] = cubic(four, px - ix);
        }
        frame(x, y) = static_cast<float>(
            rng.poisson(scene.electrons_per_pixel * at_least_zero(1 + scale * cubic(rows, py - iy))));
      }
    frames.push_back(std::move(frame));
  }
  return frames;
}

Alignment align_locally(const std::vector<Image>& frames, MotionModel model = MotionModel::smooth, int threads = 2) {
  const FrameSource source{frames[0].nx(), frames[0].ny(), static_cast<int>(frames.size()), frames[0].pixel_size,
                           [&frames](int i, Image& out) { out = frames[static_cast<std::size_t>(i)].clone(); }};
  Detector detector(source.nx, source.ny, {}, 1);
  return align_frames(source, detector, {}, {.model = model, .find_defects = false, .threads = threads});
}

/// 2-D RMS in pixels over places and frames, each place's mean over time removed.
double error_of(const MotionField& field, const LocalScene& scene) {
  double sum = 0;
  int places = 0;
  for (double y = scene.ny / 16.0; y < scene.ny; y += scene.ny / 8.0)
    for (double x = scene.nx / 16.0; x < scene.nx; x += scene.nx / 8.0, ++places) {
      double mx = 0, my = 0, squares = 0;
      for (int t = 0; t < scene.frames; ++t) {
        const Shift s = field.at(t, x, y), d = scene.motion(t, x, y);
        mx += (s.x + d.x) / scene.frames, my += (s.y + d.y) / scene.frames;
        squares += (std::pow(s.x + d.x, 2) + std::pow(s.y + d.y, 2)) / scene.frames;
      }
      sum += squares - mx * mx - my * my;
    }
  return std::sqrt(sum / places);
}

/// A drift, and a swelling about a point that slows down.
Displacement swelling(const LocalScene& scene, double most_px) {
  return [nx = scene.nx, ny = scene.ny, most_px](int t, double x, double y) {
    const double u = x / nx - 0.6, v = y / ny - 0.4, grown = 1 - std::exp(-t / 3.0);
    const double bell = 3 * most_px * std::exp(-(u * u + v * v) / 0.18);
    return Shift{0.3 * t + bell * u * grown, -0.2 * t + bell * v * grown};
  };
}

/// Two halves that part along a vertical line.
Displacement crack(const LocalScene& scene, double step_px) {
  return [nx = scene.nx, step_px](int t, double x, double) {
    const double side = x > 0.45 * nx ? 0.5 : -0.5, opened = 1 - std::exp(-t / 3.0);
    return Shift{0.2 * t + side * step_px * opened, 0.1 * t - side * step_px * opened};
  };
}

TEST(LocalMotion, IsRecoveredWithItsErrors) {
  LocalScene scene;
  scene.motion = swelling(scene, 1.5);
  const auto frames = movie(scene, 3);
  const auto found = align_locally(frames);
  ASSERT_EQ(found.local.used, MotionModel::smooth);
  const double track_alone = error_of(MotionField(found.track), scene), error = error_of(found.field, scene);
  EXPECT_LT(error, 0.4 * track_alone);
  double claimed = 0;
  for (const double s : found.local.sigma_px) claimed += 2 * s * s / static_cast<double>(found.local.sigma_px.size());
  EXPECT_NEAR(std::sqrt(claimed) / error, 1, 0.5);  // one movie: few independent places
  const Shift start = found.field.at(0, 100, 200);
  EXPECT_NEAR(std::hypot(start.x, start.y), 0, 1e-9);
  EXPECT_GT(found.local.amplitude, 0.3_A);
}

TEST(LocalMotion, ShrinksToTheTrackWhereThereIsNone) {
  LocalScene scene;
  scene.contrast = 0.1;
  scene.motion = [](int t, double, double) { return Shift{0.3 * t, -0.1 * t}; };
  const auto frames = movie(scene, 4);
  const auto smooth = align_locally(frames), global = align_locally(frames, MotionModel::global);
  EXPECT_LT(smooth.local.amplitude, 0.1_A);  // a thirtieth of a pixel
  EXPECT_LT(error_of(smooth.field, scene), error_of(global.field, scene) + 0.02);
}

TEST(LocalMotion, FlowFollowsACrackBetterThanASmoothField) {
  LocalScene scene;
  scene.nx = scene.ny = 900;
  scene.frames = 8;
  scene.motion = crack(scene, 2);
  const auto frames = movie(scene, 5);
  const auto smooth = align_locally(frames, MotionModel::smooth), flow = align_locally(frames, MotionModel::flow);
  ASSERT_EQ(flow.local.used, MotionModel::flow);
  EXPECT_LT(error_of(flow.field, scene), 0.9 * error_of(smooth.field, scene));
}

TEST(LocalMotion, IsTheSameForOneAndTwoThreadsAndAnyShapeOfFrame) {
  LocalScene scene;
  scene.nx = 700, scene.ny = 460, scene.frames = 4;
  scene.motion = swelling(scene, 2);
  const auto frames = movie(scene, 6);
  const auto one = align_locally(frames, MotionModel::smooth, 1), two = align_locally(frames, MotionModel::smooth, 2);
  EXPECT_EQ(one.local.tiles_x, 4);
  EXPECT_EQ(one.local.tiles_y, 2);
  for (int t = 0; t < 4; ++t)
    for (const double x : {10.0, 400.0, 690.0}) {
      const Shift a = one.field.at(t, x, 300), b = two.field.at(t, x, 300);
      EXPECT_EQ(a.x, b.x);
      EXPECT_EQ(a.y, b.y);
    }
}

TEST(LocalMotion, TakesTwoAndThreeFrames) {
  LocalScene scene;
  scene.motion = [](int t, double, double) { return Shift{0.8 * t, 0.4 * t}; };
  for (const int frames : {2, 3}) {
    scene.frames = frames;
    EXPECT_LT(error_of(align_locally(movie(scene, 7)).field, scene), 0.3);
  }
}

TEST(Tiles, CountEveryPixelOnce) {
  for (const int length : {1365, 512, 460, 333}) {
    const auto axis = tile_axis(length, 200, 8);
    std::vector<double> squares(static_cast<std::size_t>(length));
    for (int i = 0; i < axis.count(); ++i) {
      const auto taper = axis.taper(i);
      for (int j = 0; j < axis.side; ++j)
        squares.at(static_cast<std::size_t>(axis.start[static_cast<std::size_t>(i)] + j)) +=
            std::pow(taper[static_cast<std::size_t>(j)], 2);
    }
    const int edge = std::max(2, axis.side / 25);
    for (int p = edge; p < length - edge; ++p)
      ASSERT_NEAR(squares[static_cast<std::size_t>(p)], 1, 1e-5) << length << " " << p;
  }
}

/// The posterior written out: all tiles and frames of one component in one matrix.
TEST(LocalPosterior, EqualsTheDenseGaussianProcess) {
  using Eigen::MatrixXd;
  using Eigen::VectorXd;
  Rng rng(8);
  constexpr int tiles = 6, frames = 5;
  LocalInformation information;
  information.share = VectorXd(tiles);
  for (int i = 0; i < tiles; ++i) {
    information.tiles.x.push_back(rng.uniform());
    information.tiles.y.push_back(rng.uniform());
    information.share[i] = rng.uniform(0.3, 2);
  }
  VectorXd v(frames);
  for (int t = 0; t < frames; ++t) v[t] = rng.uniform(0.5, 1.5);
  information.h = 3 * MatrixXd(v.sum() * MatrixXd(v.asDiagonal()) - v * v.transpose());
  const auto random = [&](int rows) {
    MatrixXd m(rows, frames);
    for (int i = 0; i < rows; ++i)
      for (int t = 0; t < frames; ++t) m(i, t) = rng.normal(0, 3);
    const VectorXd mean = m.rowwise().mean();
    return MatrixXd(m.colwise() - mean);  // a common shift of all frames says nothing
  };
  information.b_x = random(tiles);
  information.b_y = random(tiles);
  const LocalSmoothness smoothness{0.7, 0.5, 3, 0.3, 2};
  const LocalPosterior posterior(information, SpaceKernel::smooth, smoothness);

  const VectorXd share = information.share / information.share.sum();
  MatrixXd k(tiles, tiles);
  for (std::size_t i = 0; i < tiles; ++i)
    for (std::size_t j = 0; j < tiles; ++j)
      k(static_cast<int>(i), static_cast<int>(j)) = space_correlation(
          SpaceKernel::smooth,
          std::hypot(information.tiles.x[i] - information.tiles.x[j], information.tiles.y[i] - information.tiles.y[j]),
          smoothness.length);
  const MatrixXd p = MatrixXd::Identity(tiles, tiles) - VectorXd::Ones(tiles) * share.transpose();
  const MatrixXd space = p * k * p.transpose(),
                 time = smoothness.amplitude_A * smoothness.amplitude_A * time_covariance(frames, smoothness);
  MatrixXd prior(tiles * frames, tiles * frames), h = MatrixXd::Zero(tiles * frames, tiles * frames);
  VectorXd b(tiles * frames), b_y(tiles * frames);
  for (int i = 0; i < tiles; ++i) {
    h.block(i * frames, i * frames, frames, frames) = information.share[i] * information.h;
    b.segment(i * frames, frames) = information.b_x.row(i).transpose();
    b_y.segment(i * frames, frames) = information.b_y.row(i).transpose();
    for (int j = 0; j < tiles; ++j) prior.block(i * frames, j * frames, frames, frames) = space(i, j) * time;
  }
  const MatrixXd system = MatrixXd::Identity(tiles * frames, tiles * frames) + prior * h;
  const MatrixXd covariance = system.inverse() * prior;
  const VectorXd mean = covariance * b;
  const auto found = posterior.mean_at(information.tiles);
  const MatrixXd variance = posterior.variance_at(information.tiles);
  const MatrixXd centre = MatrixXd::Identity(frames, frames) - MatrixXd::Constant(frames, frames, 1.0 / frames);
  for (int i = 0; i < tiles; ++i) {
    const MatrixXd block = centre * covariance.block(i * frames, i * frames, frames, frames) * centre;
    for (int t = 0; t < frames; ++t) {
      EXPECT_NEAR(found[0](i, t), mean[i * frames + t], 1e-8);
      EXPECT_NEAR(variance(i, t), block(t, t), 1e-8);
    }
  }
  const double evidence = 0.5 * b.dot(mean) + 0.5 * b_y.dot(covariance * b_y) - std::log(system.determinant());
  EXPECT_NEAR(posterior.log_evidence(), evidence, 1e-6 * std::abs(evidence) + 1e-8);
}

TEST(ThirdOrder, FitsWhatItCanExpressAndTellsWhatItCannot) {
  ThirdOrder truth;
  Rng rng(9);
  for (std::size_t i = 0; i < ThirdOrder::terms; ++i) {
    truth.x[i] = rng.normal() / std::pow(10.0, static_cast<double>(i % 3) + 1);
    truth.y[i] = rng.normal() / std::pow(10.0, static_cast<double>(i % 3) + 1);
  }
  constexpr int frames = 12, nodes = 65, nx = 640, ny = 480;
  std::vector<double> x, y;
  for (int i = 0; i < nodes; ++i) {
    x.push_back(static_cast<double>(i) * nx / (nodes - 1));
    y.push_back(static_cast<double>(i) * ny / (nodes - 1));
  }
  std::vector<Shift> shifts, track;
  for (int t = 0; t < frames; ++t) {
    track.push_back({0.5 * t, -0.2 * t * t});
    for (const double v : y)
      for (const double u : x) {
        const Shift local = truth.at(t, u / nx - 0.5, v / ny - 0.5);
        shifts.push_back({track.back().x + local.x, track.back().y + local.y});
      }
  }
  const auto fit = fit_third_order(MotionField(x, y, shifts), track, nx, ny);
  EXPECT_LT(fit.rms_px, 1e-3);  // the field is linear between its nodes
  for (const double z : {1.0, 5.0, 11.0}) {
    const Shift a = fit.model.at(z, 0.3, -0.4), b = truth.at(z, 0.3, -0.4);
    EXPECT_NEAR(a.x, b.x, 0.01);
    EXPECT_NEAR(a.y, b.y, 0.01);
  }
  EXPECT_EQ(fit.model.at(0, 0.2, 0.1).x, 0);
}

}  // namespace
}  // namespace frazil::motion
