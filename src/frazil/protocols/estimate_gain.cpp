#include "frazil/protocols/estimate_gain.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "frazil/algo/gain/check.hpp"
#include "frazil/algo/gain/estimate.hpp"
#include "frazil/algo/gain/trend.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/image/sound.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

using Sums = std::array<Image, 2>;

void add_to(Image& sum, const Image& frame) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum.pixels()[i] += frame.pixels()[i];
}

/// Adds a movie's frames: to one half, or alternating between both. Returns how many were left out: a sum that is not
/// finite would stay so in every later version.
int add_movie(const Movie& movie, int every, int half, bool alternate, Sums& sums, const flow::Context& context) {
  const io::MovieReader reader(context.input(movie.path));
  if (reader.info().nx != sums[0].nx() || reader.info().ny != sums[0].ny())
    throw Error(ErrorCode::bad_input,
                "{}: {} x {} pixels, but the movies before have {} x {}: a gain is made from movies of one camera mode",
                movie.path, reader.info().nx, reader.info().ny, sums[0].nx(), sums[0].ny());
  const int frames = (reader.info().nz + every - 1) / every, batch = std::max(1, context.threads());
  std::vector<Image> held(static_cast<std::size_t>(batch));
  int left_out = 0;
  for (int first = 0; first < frames; first += batch) {
    context.check_cancelled();
    const int n = std::min(batch, frames - first);
    parallel_for(context.threads(), static_cast<std::size_t>(n),
                 [&](std::size_t i) { reader.read_frame((first + static_cast<int>(i)) * every, held[i]); });
    for (int i = 0; i < n; ++i) {
      const auto& frame = held[static_cast<std::size_t>(i)];
      if (soundness(frame) == Soundness::not_finite)
        ++left_out;
      else
        add_to(sums[static_cast<std::size_t>(alternate ? (first + i) % 2 : half)], frame);
    }
  }
  return left_out;
}

Sums start(const GainReference* previous, const Movie& movie, const flow::Context& context) {
  if (previous != nullptr)
    return {io::read_image(context.input(previous->sum_a)), io::read_image(context.input(previous->sum_b))};
  return {Image(movie.nx, movie.ny, movie.pixel_size), Image(movie.nx, movie.ny, movie.pixel_size)};
}

/// Both halves corrected by factors, or by their reciprocals.
Sums corrected(const Sums& sums, const Image& gain, bool inverted) {
  Sums out{sums[0].clone(), sums[1].clone()};
  for (auto& half : out)
    for (std::size_t i = 0; i < half.size(); ++i) {
      const float g = gain.pixels()[i];
      half.pixels()[i] *= inverted ? (g > 0 ? 1 / g : 0) : g;
    }
  return out;
}

void compare_given(const Sums& sums, const Image& whole, GainReference& out, const flow::Context& context) {
  auto residual = gain::common_pattern(sums[0], sums[1]);
  if (out.given.empty()) {
    const auto verdict = gain::judge_without_gain(residual);
    out.verdict = verdict.word;
    out.findings = gain::findings_of(verdict);
  } else {
    const auto given = io::read_gain(context.input(out.given), 0, 0);
    const auto check = gain::check_gain(whole, given);
    const bool is_usable = check.found() || (given.nx() == whole.nx() && given.ny() == whole.ny());
    if (is_usable) {
      const auto oriented = orient(given, check.found() ? check.orientation : GainOrientation::identity);
      const auto better = corrected(sums, oriented, check.found() && check.inverted);
      residual = gain::common_pattern(better[0], better[1]);
    }
    const auto verdict = gain::judge(check, GainOrientation::identity, false, residual, gain::pattern_variance(given));
    out.orientation = to_string(check.orientation);
    out.inverted = check.inverted;
    out.correlation = check.correlation;
    out.significance = check.significance;
    out.agreement = check.agreement;
    out.verdict = verdict.word;
    out.findings = gain::findings_of(verdict);
  }
  out.residual_std = std::sqrt(at_least_zero(residual.variance));
  out.residual_sigma = residual.sigma;
}

}  // namespace

GainReference EstimateGain::fold(const GainReference* previous, const std::vector<Movie>& batch,
                                 flow::Context& context) const {
  if (batch.empty()) throw Error(ErrorCode::bad_input, "a gain needs at least one movie");
  for (const auto& movie : batch) flow::refuse_impossible(movie, movie.path);
  auto sums = start(previous, batch.front(), context);
  const int before = previous == nullptr ? 0 : previous->movies;
  const bool single = before == 0 && batch.size() == 1;
  GainReference out;
  out.frames_left_out = previous == nullptr ? 0 : previous->frames_left_out;
  for (std::size_t i = 0; i < batch.size(); ++i)
    out.frames_left_out += add_movie(batch[i], params.every, (before + static_cast<int>(i)) % 2, single, sums, context);
  for (const auto& half : sums)
    if (soundness(half) != Soundness::sound)
      throw Error(ErrorCode::bad_input, "{}: the frames add up to an image that is {}; {} were left out as not finite",
                  batch.front().path, to_string(soundness(half)), out.frames_left_out);
  out.version = previous == nullptr ? 1 : previous->version + 1;
  out.movies = before + static_cast<int>(batch.size());
  const auto estimate =
      gain::estimate_gain(sums[0], sums[1], out.movies > 1 ? gain::Halves::movies : gain::Halves::frames);
  auto whole = sums[0].clone();
  add_to(whole, sums[1]);
  out.electrons = statistics(whole).mean;
  out.pattern_std = estimate.pattern_std;
  out.error_std = estimate.error_std;
  out.defects_count = static_cast<int>(estimate.defects.size());
  out.given = batch.front().gain;
  compare_given(sums, whole, out, context);
  io::write_image(context.output("gain.mrc"), estimate.gain);
  io::write_image(context.output("gain_sum_a.mrc"), sums[0]);
  io::write_image(context.output("gain_sum_b.mrc"), sums[1]);
  out.gain = context.reference("gain.mrc");
  out.sum_a = context.reference("gain_sum_a.mrc");
  out.sum_b = context.reference("gain_sum_b.mrc");
  return out;
}

template flow::Protocol protocol_of<EstimateGain>();

}  // namespace frazil::protocols
