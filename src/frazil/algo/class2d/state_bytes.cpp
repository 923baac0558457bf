#include <cstring>
#include <type_traits>

#include "frazil/algo/class2d/model.hpp"

namespace frazil::class2d {
namespace {

constexpr std::string_view magic = "frazil class2d 2\n";

/// Plain values one after another, little-endian as every CPU we run on.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) { out_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void put(const Matrix& m) {
    put(static_cast<std::int32_t>(m.rows()));
    put(static_cast<std::int32_t>(m.cols()));
    out_.append(reinterpret_cast<const char*>(m.data()), static_cast<std::size_t>(m.size()) * sizeof(float));
  }

 private:
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void get(T& value) { std::memcpy(&value, take(sizeof value), sizeof value); }
  void get(Matrix& m, Eigen::Index rows, Eigen::Index cols) {
    std::int32_t r = 0, c = 0;
    get(r);
    get(c);
    if (r != rows || c != cols)
      throw Error(ErrorCode::corrupt, "state of the 2D classification: expected a {} x {} table, found {} x {}", rows,
                  cols, r, c);
    m.resize(r, c);
    const std::size_t bytes = static_cast<std::size_t>(m.size()) * sizeof(float);
    std::memcpy(m.data(), take(bytes), bytes);
  }
  void get(Eigen::VectorXf& v, Eigen::Index rows) {
    Matrix m;
    get(m, rows, 1);
    v = m.col(0);
  }
  /// A count, checked against what is left: every element needs at least `least` bytes.
  std::size_t count(std::size_t least) {
    std::int64_t n = 0;
    get(n);
    if (n < 0 || static_cast<std::size_t>(n) > (in_.size() - at_) / least)
      throw Error(ErrorCode::corrupt,
                  "state of the 2D classification: a list of {} entries does not fit into the {} bytes left", n,
                  in_.size() - at_);
    return static_cast<std::size_t>(n);
  }
  [[nodiscard]] bool done() const { return at_ == in_.size(); }

 private:
  const char* take(std::size_t bytes) {
    if (bytes > in_.size() - at_)
      throw Error(ErrorCode::corrupt, "state of the 2D classification: expected {} more bytes, found {}", bytes,
                  in_.size() - at_);
    const char* from = in_.data() + at_;
    at_ += bytes;
    return from;
  }
  std::string_view in_;
  std::size_t at_ = 0;
};

static_assert(std::is_trivially_copyable_v<Assignment>);

}  // namespace

std::string to_bytes(const State& state) {
  std::string out(magic);
  Writer writer(out);
  const auto& g = state.geometry;
  writer.put(g.box);
  writer.put(g.pixel_size.value());
  writer.put(g.diameter.value());
  writer.put(g.shift_range.value());
  writer.put(g.resolution.value());
  writer.put(state.version);
  writer.put(state.step);
  writer.put(state.background);
  writer.put(state.rings);
  writer.put(Matrix(state.noise));
  writer.put(static_cast<std::int64_t>(state.sums.size()));
  for (std::size_t k = 0; k < state.sums.size(); ++k) {
    const auto& sum = state.sums[k];
    for (std::size_t h = 0; h < 2; ++h) {
      writer.put(sum.signal[h]);
      writer.put(Matrix(sum.weight[h]));
      writer.put(sum.mass[h]);
    }
    writer.put(state.references.harmonics[k]);
    writer.put(state.references.log_prior[k]);
    writer.put(Matrix(state.frc[k]));
  }
  writer.put(static_cast<std::int64_t>(state.assignments.size()));
  for (const auto& a : state.assignments) writer.put(a);
  return out;
}

State state_from_bytes(std::string_view bytes) {
  if (!bytes.starts_with(magic))
    throw Error(ErrorCode::corrupt, "state of the 2D classification: it does not begin with '{}'",
                magic.substr(0, magic.size() - 1));
  Reader reader(bytes.substr(magic.size()));
  int box = 0;
  double pixel = 0, diameter = 0, range = 0, resolution = 0;
  reader.get(box);
  reader.get(pixel);
  reader.get(diameter);
  reader.get(range);
  reader.get(resolution);
  if (box < 16 || box > 4096 || !(pixel > 0.05 && pixel < 100) || !(resolution > pixel && resolution < 1000) ||
      !(range > 0 && range < 1000))
    throw Error(ErrorCode::corrupt, "state of the 2D classification: a box of {} pixels of {} A at {} A makes no sense",
                box, pixel, resolution);
  State state;
  Params params;
  params.resolution = Angstrom(resolution);
  params.shift_range = Angstrom(range);
  state.geometry = make_geometry(box, Angstrom(pixel), Angstrom(diameter), params);
  reader.get(state.version);
  reader.get(state.step);
  reader.get(state.background);
  reader.get(state.rings);
  const auto& grid = state.geometry.grid;
  reader.get(state.noise, grid.rings);
  const auto classes = reader.count(sizeof(float) * static_cast<std::size_t>(grid.rings * grid.harmonics));
  if (state.background < 0 || state.background > static_cast<int>(classes))
    throw Error(ErrorCode::corrupt, "state of the 2D classification: {} background classes among {}", state.background,
                classes);
  for (std::size_t k = 0; k < classes; ++k) {
    ClassSums sum(grid);
    for (std::size_t h = 0; h < 2; ++h) {
      reader.get(sum.signal[h], grid.rings, 2 * grid.harmonics);
      reader.get(sum.weight[h], grid.rings);
      reader.get(sum.mass[h]);
    }
    state.sums.push_back(std::move(sum));
    reader.get(state.references.harmonics.emplace_back(), grid.rings, 2 * grid.harmonics);
    reader.get(state.references.log_prior.emplace_back());
    reader.get(state.frc.emplace_back(), grid.rings);
  }
  state.assignments.resize(reader.count(sizeof(Assignment)));
  for (auto& a : state.assignments) {
    reader.get(a);
    if (a.index < -1 || a.index >= static_cast<int>(classes))
      throw Error(ErrorCode::corrupt, "state of the 2D classification: a particle in class {} of {}", a.index, classes);
  }
  if (!reader.done()) throw Error(ErrorCode::corrupt, "state of the 2D classification: bytes are left over at the end");
  return state;
}

}  // namespace frazil::class2d
