#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/random.hpp"
#include "frazil/base/units.hpp"

namespace frazil {

TEST(Units, DivideToPlainNumbersAndConvertByName) {
  EXPECT_DOUBLE_EQ(12_A / 1.5_A, 8.0);
  EXPECT_DOUBLE_EQ(to_px(12_A, 1.5_A), 8.0);
  EXPECT_DOUBLE_EQ(from_rad(to_rad(37_deg)).value(), 37.0);
}

TEST(Rng, StreamsDoNotDependOnWhoDrewBefore) {
  Rng a(7), b(7);
  for (int i = 0; i < 100; ++i) a();
  EXPECT_EQ(a.stream(5)(), b.stream(5)());
  EXPECT_NE(a.stream(5)(), a.stream(6)());
}

TEST(Rng, PoissonHasItsMeanAndVarianceOnBothBranches) {
  for (const double mean : {0.7, 12.0, 80.0, 900.0}) {
    Rng rng(11);
    double sum = 0, squares = 0;
    constexpr int n = 200000;
    for (int i = 0; i < n; ++i) {
      const auto x = static_cast<double>(rng.poisson(mean));
      sum += x;
      squares += x * x;
    }
    const double m = sum / n;
    EXPECT_NEAR(m, mean, 5 * std::sqrt(mean / n));                           // five standard errors
    EXPECT_NEAR((squares / n - m * m) / mean, 1.0, 5 * std::sqrt(3.0 / n));  // variance of a variance ≲ 3/n here
  }
}

TEST(Rng, NormalHasUnitVariance) {
  Rng rng(3);
  double squares = 0;
  constexpr int n = 200000;
  for (int i = 0; i < n; ++i) squares += std::pow(rng.normal(), 2);
  EXPECT_NEAR(squares / n, 1.0, 5 * std::sqrt(2.0 / n));
}

TEST(ParallelFor, VisitsEachIndexOnceOnAnyNumberOfThreads) {
  for (const int threads : {1, 2, 7}) {
    std::vector<int> seen(1000, 0);
    parallel_for(threads, seen.size(), [&](std::size_t i) { ++seen[i]; });
    EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 1000);
    EXPECT_EQ(*std::min_element(seen.begin(), seen.end()), 1);
  }
}

TEST(ParallelFor, PassesAnExceptionOn) {
  EXPECT_THROW(parallel_for(4, 100,
                            [](std::size_t i) {
                              if (i == 50) throw Error(ErrorCode::bad_input, "fifty");
                            }),
               Error);
}

TEST(ParallelFor, NestsWithoutWaitingForItself) {
  std::vector<int> counts(16, 0);
  parallel_for(4, counts.size(), [&](std::size_t i) {
    std::vector<int> inner(100, 0);
    parallel_for(4, inner.size(), [&](std::size_t j) { inner[j] = 1; });
    counts[i] = std::accumulate(inner.begin(), inner.end(), 0);
  });
  for (const int count : counts) EXPECT_EQ(count, 100);
}

TEST(ParallelFor, ACallerThatWaitsHelpsTheInnerLoopsOfItsBody) {
  const auto caller = std::this_thread::get_id();
  const auto meet = [](std::atomic<int>& arrived) {  // false when the other one does not come
    ++arrived;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         arrived < 2 && std::chrono::steady_clock::now() < end;)
      std::this_thread::yield();
    return arrived == 2;
  };
  std::atomic<int> outer = 0, inner = 0;
  std::atomic<bool> met = true;
  parallel_for(2, 2, [&](std::size_t) {
    if (!meet(outer)) met = false;
    if (std::this_thread::get_id() == caller) return;  // and waits for the other half, which only it can share
    parallel_for(2, 2, [&](std::size_t) {
      if (!meet(inner)) met = false;
    });
  });
  EXPECT_TRUE(met);
}

TEST(Hasher, SamplesSeeSizeEndsAndPlacesBetween) {
  const auto path = std::filesystem::temp_directory_path() / ("frazil-sample-" + std::to_string(::getpid()));
  std::string bytes(1 << 20, 'a');
  const auto hash = [&] {
    write_text(path, bytes);
    return sample_hash(path);
  };
  const auto first = hash();
  EXPECT_EQ(hash(), first);
  for (const std::size_t at : {std::size_t{0}, bytes.size() - 1, std::size_t{70000}}) {
    auto& byte = bytes[at];
    byte = 'b';
    EXPECT_EQ(hash() != first, at != 70000) << at << ": between the samples nothing is seen";
    byte = 'a';
  }
  bytes += 'a';
  EXPECT_NE(hash(), first);
  bytes = "short";
  const auto small = hash();
  bytes[2] = 'x';
  EXPECT_NE(hash(), small) << "small files are read whole";
  std::filesystem::remove(path);
}

TEST(Hasher, SeparatesItsParts) {
  EXPECT_NE(hash_of({"ab", "c"}), hash_of({"a", "bc"}));
  EXPECT_EQ(hash_of({"ab", "c"}).size(), 32u);
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  const auto folder = std::filesystem::temp_directory_path() / "frazil_atomic_test";
  std::filesystem::remove_all(folder);
  make_folders(folder);
  {
    const AtomicFile file(folder / "a.txt");
    write_text(file.temporary(), "half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  write_text(folder / "a.txt", "whole");
  EXPECT_EQ(read_text(folder / "a.txt"), "whole");
  std::filesystem::remove_all(folder);
}

TEST(Error, CodesSurviveTheirNames) {
  for (const auto code : {ErrorCode::io, ErrorCode::bad_input, ErrorCode::cancelled, ErrorCode::bug})
    EXPECT_EQ(error_code_from(to_string(code)), code);
}

TEST(Finite, AtLeastZeroKeepsWhatIsNotANumber) {
  EXPECT_EQ(at_least_zero(2.5), 2.5);
  EXPECT_EQ(at_least_zero(-2.5F), 0.F);
  EXPECT_FALSE(std::signbit(at_least_zero(-0.0)));
  EXPECT_TRUE(std::isnan(at_least_zero(std::numeric_limits<double>::quiet_NaN())));
}

}  // namespace frazil
