#include "frazil/algo/motion/frames.hpp"

#include <algorithm>

namespace frazil::motion {
namespace {

/// Clamped to the grid.
MotionField::Place locate(const std::vector<double>& nodes, double position) {
  if (nodes.size() < 2 || position <= nodes.front()) return {};
  const auto last = static_cast<int>(nodes.size()) - 2;
  const auto above = std::upper_bound(nodes.begin(), nodes.end(), position) - nodes.begin();
  const int index = std::min(static_cast<int>(above) - 1, last);
  const auto i = static_cast<std::size_t>(index);
  return {index, std::min(1.0, (position - nodes[i]) / (nodes[i + 1] - nodes[i]))};
}

}  // namespace

std::shared_ptr<const Counts> counts_of(const FrameSource& frames, int index) {
  if (frames.counts) {
    auto counts = frames.counts(index);
    expect(counts && counts->nx() == frames.nx && counts->ny() == frames.ny, "the frame has the size of the movie");
    return counts;
  }
  Image image;
  frames.read(index, image);
  expect(image.nx() == frames.nx && image.ny() == frames.ny, "the frame has the size of the movie");
  const auto counts = std::make_shared<Counts>(frames.nx, frames.ny, CountType::f32);
  std::memcpy(counts->row(0), image.data(), image.size() * sizeof(float));
  return counts;
}

int batch_of(const FrameSource& frames, int threads) {
  return std::min(frames.count, frames.batch > 0 ? frames.batch : std::max(1, threads));
}

MotionField::MotionField(const std::vector<Shift>& track)
    : x_px_{0.0}, y_px_{0.0}, shifts_(track), frames_(static_cast<int>(track.size())) {}

MotionField::MotionField(std::vector<double> x_px, std::vector<double> y_px, std::vector<Shift> shifts)
    : x_px_(std::move(x_px)), y_px_(std::move(y_px)), shifts_(std::move(shifts)) {
  const auto nodes = x_px_.size() * y_px_.size();
  expect(nodes > 0 && shifts_.size() % nodes == 0, "a motion field has one displacement for each node and frame");
  expect(std::is_sorted(x_px_.begin(), x_px_.end()) && std::is_sorted(y_px_.begin(), y_px_.end()),
         "nodes of a motion field ascend");
  frames_ = static_cast<int>(shifts_.size() / nodes);
}

Shift MotionField::node(int frame, int ix, int iy) const {
  const auto row = static_cast<std::size_t>(frame) * y_px_.size() + static_cast<std::size_t>(iy);
  return shifts_[row * x_px_.size() + static_cast<std::size_t>(ix)];
}

MotionField::Place MotionField::place_x(double x_px) const { return locate(x_px_, x_px); }
MotionField::Place MotionField::place_y(double y_px) const { return locate(y_px_, y_px); }

Shift MotionField::at(int frame, double x_px, double y_px) const {
  expect(frame >= 0 && frame < frames_, "the motion field holds this frame");
  return at(frame, place_x(x_px), place_y(y_px));
}

Shift MotionField::at(int frame, const Place& x, const Place& y) const {
  const int next_x = x.fraction > 0 ? x.index + 1 : x.index, next_y = y.fraction > 0 ? y.index + 1 : y.index;
  const auto mix = [](const Shift& a, const Shift& b, double f) {
    return Shift{a.x + f * (b.x - a.x), a.y + f * (b.y - a.y)};
  };
  const Shift low = mix(node(frame, x.index, y.index), node(frame, next_x, y.index), x.fraction);
  const Shift high = mix(node(frame, x.index, next_y), node(frame, next_x, next_y), x.fraction);
  return mix(low, high, y.fraction);
}

}  // namespace frazil::motion
