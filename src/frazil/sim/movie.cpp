#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/sim/area.hpp"
#include "frazil/sim/counting.hpp"

namespace frazil::sim {
namespace {

using std::numbers::pi;
constexpr int taps = 8, phases = 1024, block = 16;
constexpr double group_dose = 5;  // the specimen is redrawn (damage, moved water) every 5 e⁻/Å²
constexpr float steps_of_contrast =
    8192;  // contrast is kept in steps of 1.2e-4, 2 % of the shot noise of 40 000 electrons

/// Sinc with a Kaiser window (β = 6.5) of 8 taps, unit sum: the response is flat within 1 % up to 0.36 cycles a pixel.
class Kernel {
 public:
  Kernel() {
    for (int p = 0; p <= phases; ++p) {
      double sum = 0;
      std::array<double, taps> w{};
      for (int i = 0; i < taps; ++i) {
        const double x = i - (taps / 2 - 1) - static_cast<double>(p) / phases, edge = 2 * x / taps;
        const double window = std::abs(edge) >= 1 ? 0 : std::cyl_bessel_i(0.0, 6.5 * std::sqrt(1 - edge * edge));
        w[static_cast<std::size_t>(i)] = (x == 0 ? 1 : std::sin(pi * x) / (pi * x)) * window;
        sum += w[static_cast<std::size_t>(i)];
      }
      for (int i = 0; i < taps; ++i)
        weights_[static_cast<std::size_t>(p)][static_cast<std::size_t>(i)] =
            static_cast<float>(w[static_cast<std::size_t>(i)] / sum);
    }
  }
  struct Position {
    int first;  ///< first of the 8 source pixels
    const float* weights;
  };
  [[nodiscard]] Position at(double x) const {
    const double whole = std::floor(x);
    const auto phase = static_cast<std::size_t>(std::lround((x - whole) * phases));
    return {static_cast<int>(whole) - (taps / 2 - 1), weights_[phase].data()};
  }

 private:
  std::array<std::array<float, taps>, phases + 1> weights_{};
};

const Kernel& kernel() {
  static const Kernel instance;
  return instance;
}

/// Movement at one instant on a grid of 16 × 16 pixel blocks.
struct BlockField {
  int columns = 0, rows = 0;
  std::vector<float> x, y;
};

BlockField block_field(const Motion& motion, const Scene& scene, double dose,
                       const std::vector<std::vector<std::array<float, 2>>>& shapes) {
  BlockField field;
  field.columns = (scene.nx + block - 1) / block;
  field.rows = (scene.ny + block - 1) / block;
  const auto count = static_cast<std::size_t>(field.columns * field.rows);
  const auto global = motion.global(dose);
  field.x.assign(count, static_cast<float>(global[0]));
  field.y.assign(count, static_cast<float>(global[1]));
  for (int m = 0; m < Motion::modes; ++m) {
    const auto a = static_cast<float>(motion.amplitude(m, dose));
    const auto& shape = shapes[static_cast<std::size_t>(m)];
    for (std::size_t i = 0; i < count; ++i) field.x[i] += a * shape[i][0], field.y[i] += a * shape[i][1];
  }
  return field;
}

/// Contrast kept as 16-bit integers, to halve memory and traffic.
struct PackedImage {
  int nx = 0, ny = 0;
  std::vector<std::int16_t> data;
  [[nodiscard]] const std::int16_t* row(int y) const { return data.data() + static_cast<std::ptrdiff_t>(y) * nx; }
};

PackedImage pack(const Image& image) {
  PackedImage packed{image.nx(), image.ny(), std::vector<std::int16_t>(image.size())};
  std::transform(image.data(), image.data() + image.size(), packed.data.begin(), [](float v) {
    return static_cast<std::int16_t>(std::lrint(std::clamp(v, -3.9F, 3.9F) * steps_of_contrast));
  });
  return packed;
}

/// One source row, moved by dx block by block, into `out`.
void warp_row(const std::int16_t* source, int source_nx, const float* dx, int nx, int margin, float* out) {
  std::array<float, block + taps> window{};
  for (int x0 = 0; x0 < nx; x0 += block) {
    const auto p = kernel().at(x0 + margin - static_cast<double>(dx[x0 / block]));
    const int count = std::min(block, nx - x0), first = std::clamp(p.first, 0, source_nx - block - taps);
    for (int i = 0; i < block + taps; ++i) window[static_cast<std::size_t>(i)] = source[first + i];
    std::array<float, block> sum{};
    for (std::size_t t = 0; t < taps; ++t)
      for (std::size_t i = 0; i < block; ++i) sum[i] += p.weights[t] * window[i + t];
    for (int i = 0; i < count; ++i) out[x0 + i] = sum[static_cast<std::size_t>(i)];
  }
}

/// Adds weight · source(x − d(x)) to `out` (nx × ny), rows then columns; d changes by less than 0.01 px across a block,
/// so the order does not matter.
void add_warped(const PackedImage& source, const BlockField& field, int margin, float weight, Image& out) {
  const int nx = out.nx(), ny = out.ny();
  AlignedVector<float> band;
  for (int by = 0; by < field.rows; ++by) {
    const int y0 = by * block, rows = std::min(block, ny - y0);
    const float* dx = field.x.data() + static_cast<std::ptrdiff_t>(by) * field.columns;
    const float* dy = field.y.data() + static_cast<std::ptrdiff_t>(by) * field.columns;
    const auto [least, most] = std::minmax_element(dy, dy + field.columns);
    const int first = std::clamp(y0 + margin - static_cast<int>(std::ceil(*most)) - taps, 0, source.ny - 1);
    const int last = std::clamp(y0 + rows + margin - static_cast<int>(std::floor(*least)) + taps, 0, source.ny - 1);
    band.resize(static_cast<std::size_t>(last - first + 1) * static_cast<std::size_t>(nx));
    for (int y = first; y <= last; ++y)
      warp_row(source.row(y), source.nx, dx, nx, margin, band.data() + static_cast<std::ptrdiff_t>(y - first) * nx);
    for (int bx = 0; bx < field.columns; ++bx) {
      const int x0 = bx * block, count = std::min(block, nx - x0);
      const auto p = kernel().at(y0 + margin - static_cast<double>(dy[bx]));
      const int from = std::clamp(p.first - first, 0, last - first + 1 - rows - taps);
      for (int j = 0; j < rows; ++j) {
        const float* column = band.data() + static_cast<std::ptrdiff_t>(from + j) * nx + x0;
        std::array<float, block> sum{};
        if (count == block)
          for (std::size_t t = 0; t < taps; ++t, column += nx)
            for (std::size_t i = 0; i < block; ++i) sum[i] += p.weights[t] * column[i];
        else
          for (std::size_t t = 0; t < taps; ++t, column += nx)
            for (int i = 0; i < count; ++i) sum[static_cast<std::size_t>(i)] += p.weights[t] * column[i];
        float* to = out.row(y0 + j) + x0;
        for (int i = 0; i < count; ++i) to[i] += weight * sum[static_cast<std::size_t>(i)];
      }
    }
  }
}

int margin_for(const Scene& scene, int index) {
  // The motion is drawn before the area: its stream depends on seed and index only.
  const Rng rng = Rng(static_cast<std::uint64_t>(scene.seed)).stream("area").stream(static_cast<std::uint64_t>(index));
  const Motion motion(scene, rng);
  double farthest = 0;
  for (int i = 0; i <= 40; ++i)
    for (const double x : {0.0, 0.5, 1.0})
      for (const double y : {0.0, 0.5, 1.0}) {
        const auto d = motion.displacement(x * scene.nx, y * scene.ny, scene.total_dose().value() * i / 40);
        farthest = std::max({farthest, std::abs(d[0]), std::abs(d[1])});
      }
  return static_cast<int>(std::ceil(farthest)) + 16;
}

}  // namespace

Camera camera(const Scene& scene) {
  Rng rng = Rng(static_cast<std::uint64_t>(scene.seed)).stream("camera");
  const int nx = scene.nx, ny = scene.ny;
  std::vector<double> column(static_cast<std::size_t>(nx)),
      sensitivity(static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny));
  for (auto& c : column) c = 1 + 0.3 * scene.gain_sigma * rng.normal();
  constexpr int panels_x = 8, panels_y = 2;  // read-out panels differ by steps
  std::array<double, panels_x * panels_y> panel{};
  for (auto& p : panel) p = 1 + 0.6 * scene.gain_sigma * rng.normal();
  double sum = 0;
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      const auto p = static_cast<std::size_t>(y * panels_y / ny * panels_x + x * panels_x / nx);
      auto& s = sensitivity[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx) + static_cast<std::size_t>(x)];
      s = std::max(0.2, column[static_cast<std::size_t>(x)] * panel[p] * (1 + scene.gain_sigma * rng.normal()));
      sum += s;
    }
  const double mean = sum / static_cast<double>(sensitivity.size());
  Camera result{Image(nx, ny, scene.pixel_size), {}, {}};
  std::transform(sensitivity.begin(), sensitivity.end(), result.gain.data(),
                 [&](double s) { return static_cast<float>(mean / s); });
  const auto place = [&] {
    return std::array<int, 2>{static_cast<int>(rng.below(static_cast<std::uint64_t>(nx))),
                              static_cast<int>(rng.below(static_cast<std::uint64_t>(ny)))};
  };
  for (int i = 0; i < scene.hot_pixels; ++i) result.hot.push_back(place());
  for (int i = 0; i < scene.dead_pixels; ++i) {
    result.dead.push_back(place());
    result.gain(result.dead.back()[0], result.dead.back()[1]) = 0;
  }
  return result;
}

struct SimulatedMovie::State {
  Scene scene;
  const Camera* camera;
  AreaTruth truth;
  Rng rng{0};
  int margin = 0;
  Image transparency;
  std::vector<PackedImage> groups;
  std::vector<std::vector<std::array<float, 2>>> shapes;  ///< of each mode, per block
  std::vector<double> hot_means;

  void render_groups(Area& area);
  void add_expected(int t, Image& out) const;
};

void SimulatedMovie::State::render_groups(Area& area) {
  const double dose = scene.total_dose().value(), before = scene.pre_exposure.value(),
               k_max = corner_k(scene.pixel_size);
  const int count = std::clamp(static_cast<int>(std::lround(dose / group_dose)), 1, scene.frames);
  const double step = dose / count;
  const RadialTable ice_power(k_max, [&](double k) { return area.ice.power(k, scene.voltage); });
  const RadialTable kept(k_max, [&](double k) { return area.ice.memory(k, step); });
  const RadialTable renewed(
      k_max, [&](double k) { return area.ice.power(k, scene.voltage) * (1 - std::pow(area.ice.memory(k, step), 2)); });
  Spectrum ice(area.grid_x, area.grid_y, scene.pixel_size);
  for (int g = 0; g < count; ++g) {
    // Water moves: the noise of the ice is an autoregressive process in dose, at each frequency its own.
    if (g > 0)
      for_components(area.grid_x, area.grid_y, scene.pixel_size, scene.threads,
                     [&](int ix, int iy, double, double, double k) { ice(ix, iy) *= static_cast<float>(kept(k)); });
    add_coloured_noise(ice, g == 0 ? ice_power : renewed, rng.stream("ice").stream(static_cast<std::uint64_t>(g)),
                       scene.threads);
    const RadialTable survived(k_max, [&](double k) {
      return scene.contrast * mean_survival(k, scene.damage * (before + g * step),
                                            scene.damage * (before + (g + 1) * step), scene.voltage);
    });
    const bool has_still = area.still.size() > 0;
    auto phase = ice.clone();
    for_components(area.grid_x, area.grid_y, scene.pixel_size, scene.threads,
                   [&](int ix, int iy, double, double, double k) {
                     phase(ix, iy) += area.protein(ix, iy) * static_cast<float>(survived(k)) +
                                      (has_still ? area.still(ix, iy) : std::complex<float>{});
                   });
    groups.push_back(pack(contrast_of(area, std::move(phase))));
  }
}

SimulatedMovie::SimulatedMovie(const Scene& scene, const std::vector<Specimen>& specimens, const Camera& camera,
                               int index)
    : state_(std::make_unique<State>()) {
  expect(camera.gain.nx() == scene.nx && camera.gain.ny() == scene.ny, "the camera has the size of the scene");
  auto& s = *state_;
  s.scene = scene;
  s.camera = &camera;
  s.margin = margin_for(scene, index);
  auto area = draw_area(scene, specimens, index, s.margin);
  s.rng = area.rng;
  s.render_groups(area);
  s.truth = std::move(area.truth);
  s.transparency = std::move(area.transparency);
  s.shapes.resize(Motion::modes);
  for (int m = 0; m < Motion::modes; ++m)
    for (int y = block / 2; y - block / 2 < scene.ny; y += block)
      for (int x = block / 2; x - block / 2 < scene.nx; x += block) {
        const auto u = s.truth.motion.shape(m, x, y);
        s.shapes[static_cast<std::size_t>(m)].push_back({static_cast<float>(u[0]), static_cast<float>(u[1])});
      }
  Rng of_hot = Rng(static_cast<std::uint64_t>(scene.seed)).stream("hot");
  for (std::size_t i = 0; i < camera.hot.size(); ++i)
    s.hot_means.push_back(scene.electrons_per_frame() * of_hot.uniform(5, 60) + of_hot.uniform(2, 20));
}

SimulatedMovie::~SimulatedMovie() = default;
SimulatedMovie::SimulatedMovie(SimulatedMovie&&) noexcept = default;

const AreaTruth& SimulatedMovie::truth() const { return state_->truth; }

/// Expected electrons a pixel of frame t into `out`. A frame during which the specimen moves far is the mean of several
/// instants.
void SimulatedMovie::State::add_expected(int t, Image& out) const {
  const auto group = std::min(groups.size() - 1,
                              static_cast<std::size_t>((t + 0.5) / scene.frames * static_cast<double>(groups.size())));
  std::fill(out.data(), out.data() + out.size(), 0.0F);
  const auto instants = drawn_instants(scene, truth.motion, t);
  for (const double dose : instants)
    add_warped(groups[group], block_field(truth.motion, scene, dose, shapes), margin,
               1 / (static_cast<float>(instants.size()) * steps_of_contrast), out);
  const auto electrons = static_cast<float>(scene.electrons_per_frame());
  for (std::size_t i = 0; i < out.size(); ++i)
    out.data()[i] = electrons * transparency.data()[i] * at_least_zero(1 + out.data()[i]);
}

Image SimulatedMovie::expected_frame(int t) const {
  Image out(state_->scene.nx, state_->scene.ny, state_->scene.pixel_size);
  state_->add_expected(t, out);
  return out;
}

void SimulatedMovie::electrons(int t, std::vector<std::vector<Electron>>& raw_frames) const {
  const auto& s = *state_;
  const auto doses = drawn_instants(s.scene, s.truth.motion, t);
  const int parts = s.scene.raw_frames, instants = static_cast<int>(doses.size());
  const auto group = std::min(
      s.groups.size() - 1, static_cast<std::size_t>((t + 0.5) / s.scene.frames * static_cast<double>(s.groups.size())));
  const auto& tables = PoissonTables::instance();
  const Rng of_frame = s.rng.stream("electrons").stream(static_cast<std::uint64_t>(t));
  raw_frames.assign(static_cast<std::size_t>(parts), {});
  Image contrast(s.scene.nx, s.scene.ny, s.scene.pixel_size);
  Image hot(s.scene.nx, s.scene.ny);
  for (std::size_t i = 0; i < s.camera->hot.size(); ++i)
    hot(s.camera->hot[i][0], s.camera->hot[i][1]) += static_cast<float>(s.hot_means[i] / instants);
  for (int i = 0; i < instants; ++i) {
    std::fill(contrast.pixels().begin(), contrast.pixels().end(), 0.0F);
    add_warped(s.groups[group], block_field(s.truth.motion, s.scene, doses[static_cast<std::size_t>(i)], s.shapes),
               s.margin, 1 / steps_of_contrast, contrast);
    const int first = parts * i / instants, last = parts * (i + 1) / instants;
    const double electrons = s.scene.electrons_per_frame() * (last - first) / parts;
    Rng own = of_frame.stream(static_cast<std::uint64_t>(i));
    for (std::size_t p = 0; p < contrast.size(); ++p) {
      const float gain = s.camera->gain.pixels()[p];
      if (gain == 0) continue;
      const double mean =
          electrons * static_cast<double>(s.transparency.pixels()[p] * at_least_zero(1 + contrast.pixels()[p]) / gain);
      for (int n = tables(mean + static_cast<double>(hot.pixels()[p]), own); n > 0; --n) {
        auto& raw = raw_frames[static_cast<std::size_t>(first) + own.below(static_cast<std::uint64_t>(last - first))];
        const auto place = own.below(16);
        if (raw.empty() || raw.back().pixel != p)
          raw.push_back({static_cast<std::uint32_t>(p), static_cast<std::uint8_t>(place & 3U),
                         static_cast<std::uint8_t>(place >> 2U)});
      }
    }
  }
}

void SimulatedMovie::frame(int t, Image& out) const {
  const auto& s = *state_;
  if (out.nx() != s.scene.nx || out.ny() != s.scene.ny) out = Image(s.scene.nx, s.scene.ny, s.scene.pixel_size);
  s.add_expected(t, out);
  const auto& tables = PoissonTables::instance();
  const Rng of_frame = s.rng.stream("counts").stream(static_cast<std::uint64_t>(t));
  for (int y = 0; y < out.ny(); ++y) {
    Rng own = of_frame.stream(static_cast<std::uint64_t>(y));
    float* row = out.row(y);
    const float* gain = s.camera->gain.row(y);
    for (int x = 0; x < out.nx(); ++x)
      row[x] = gain[x] == 0 ? 0.0F : static_cast<float>(tables(static_cast<double>(row[x] / gain[x]), own));
  }
  Rng of_hot = of_frame.stream("hot");
  for (std::size_t i = 0; i < s.camera->hot.size(); ++i) {
    float& pixel = out(s.camera->hot[i][0], s.camera->hot[i][1]);
    pixel = std::min(pixel + static_cast<float>(of_hot.poisson(s.hot_means[i])), 32767.0F);
  }
}

}  // namespace frazil::sim
