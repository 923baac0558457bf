// How long something took lately: percentiles of the last few thousand times.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace frazil::engine {

class Latency {
 public:
  explicit Latency(std::size_t keep = 4000) : keep_(keep) {}

  void add(double seconds) {
    if (times_.size() < keep_)
      times_.push_back(seconds);
    else
      times_[next_++ % keep_] = seconds;
    ++count_;
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  /// The time that this fraction of the last ones did not exceed; 0 when there are none.
  [[nodiscard]] double percentile(double fraction) const {
    if (times_.empty()) return 0;
    auto sorted = times_;
    const auto place =
        sorted.begin() + static_cast<std::ptrdiff_t>(std::min(fraction * static_cast<double>(sorted.size()),
                                                              static_cast<double>(sorted.size() - 1)));
    std::nth_element(sorted.begin(), place, sorted.end());
    return *place;
  }

 private:
  std::size_t keep_, next_ = 0, count_ = 0;
  std::vector<double> times_;
};

}  // namespace frazil::engine
