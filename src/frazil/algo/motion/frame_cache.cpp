#include "frazil/algo/motion/frame_cache.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "frazil/base/parallel.hpp"

namespace frazil::motion {

struct FrameCache::State : std::enable_shared_from_this<State> {
  int nx, ny, count;
  CountType type;
  Angstrom pixel_size;
  Read read;
  int limit = 0, batch = 0;

  std::mutex mutex;
  std::vector<std::shared_ptr<const Counts>> kept;
  std::vector<std::unique_ptr<Counts>> spare;
  bool closed = false;

  std::unique_ptr<Counts> take() {
    {
      const std::lock_guard lock(mutex);
      if (!spare.empty()) {
        auto counts = std::move(spare.back());
        spare.pop_back();
        return counts;
      }
    }
    return std::make_unique<Counts>(nx, ny, type);
  }

  void give_back(Counts* counts) {
    std::unique_ptr<Counts> owned(counts);
    const std::lock_guard lock(mutex);
    if (!closed) spare.push_back(std::move(owned));
  }

  std::shared_ptr<const Counts> get(int index) {
    const auto i = static_cast<std::size_t>(index);
    {
      const std::lock_guard lock(mutex);
      if (kept[i]) return kept[i];
    }
    auto counts = take();
    read(index, *counts);
    if (index < limit) {
      std::shared_ptr<const Counts> shared(std::move(counts));
      const std::lock_guard lock(mutex);
      if (!closed) kept[i] = shared;
      return shared;
    }
    return {counts.release(), [self = shared_from_this()](Counts* used) { self->give_back(used); }};
  }

  void close() {
    std::vector<std::shared_ptr<const Counts>> old_kept;
    std::vector<std::unique_ptr<Counts>> old_spare;
    const std::lock_guard lock(mutex);
    closed = true;
    old_kept.swap(kept);
    kept.resize(old_kept.size());
    old_spare.swap(spare);
  }
};

FrameCache::FrameCache(int nx, int ny, int count, CountType type, Angstrom pixel_size, Read read, std::size_t budget)
    : state_(std::make_shared<State>()) {
  auto& s = *state_;
  s.nx = nx, s.ny = ny, s.count = count, s.type = type, s.pixel_size = pixel_size, s.read = std::move(read);
  const std::size_t frame = static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny) * bytes_of(type);
  const auto fit = static_cast<int>(
      std::min<std::size_t>(static_cast<std::size_t>(count), budget / std::max<std::size_t>(1, frame)));
  // Where not all fit, a few at a time come and go: enough that the sums are not fetched from memory for every frame.
  // Where none is to be kept, one a thread.
  s.batch = fit == count ? count : budget == 0 ? 0 : std::clamp(fit, 1, 8);
  s.limit = fit == count ? count : std::max(0, fit - s.batch);
  s.kept.resize(static_cast<std::size_t>(count));
}

int FrameCache::kept() const { return state_->limit; }

void FrameCache::load(int threads) const {
  parallel_for(threads, static_cast<std::size_t>(kept()), [&](std::size_t i) { state_->get(static_cast<int>(i)); });
}

FrameSource FrameCache::source() const {
  FrameSource source{state_->nx, state_->ny, state_->count, state_->pixel_size, {}};
  source.counts = [state = state_](int index) { return state->get(index); };
  source.read = [state = state_](int index, Image& out) {
    if (out.nx() != state->nx || out.ny() != state->ny) out = Image(state->nx, state->ny);
    out.pixel_size = state->pixel_size;
    state->get(index)->visit([&](const auto& view) { std::copy_n(view.data, out.size(), out.data()); });
  };
  source.done = [state = state_] { state->close(); };
  source.batch = state_->batch;
  return source;
}

}  // namespace frazil::motion
