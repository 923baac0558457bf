// Seeded random numbers that are the same on every platform and for every number of threads.
#pragma once

#include <cstdint>
#include <string_view>

namespace frazil {

/// xoshiro256++ (Blackman & Vigna 2019, doi:10.1145/3460772) with distributions of our own, because those of the
/// standard library differ between implementations. Pass by reference; give parallel work its own `stream`.
class Rng {
 public:
  using result_type = std::uint64_t;

  explicit Rng(std::uint64_t seed);
  /// An independent generator for item `index`: same parent seed and index, same numbers, whoever asks first.
  [[nodiscard]] Rng stream(std::uint64_t index) const;
  [[nodiscard]] Rng stream(std::string_view name) const;

  static constexpr std::uint64_t min() { return 0; }
  static constexpr std::uint64_t max() { return ~std::uint64_t{0}; }
  std::uint64_t operator()();

  /// Uniform in [0, 1), 53 bits.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, …, count − 1}, without bias; count > 0.
  std::uint64_t below(std::uint64_t count);
  /// Standard normal (polar method).
  double normal();
  double normal(double mean, double sigma) { return mean + sigma * normal(); }
  /// Poisson by inversion below a mean of 30 and by the PTRS rejection of Hörmann 1993 above; mean ≥ 0.
  std::int64_t poisson(double mean);

 private:
  std::uint64_t seed_;
  std::uint64_t state_[4];
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace frazil
