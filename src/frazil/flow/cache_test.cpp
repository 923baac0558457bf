#include "frazil/flow/cache.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace frazil::flow {
namespace {

TEST(Cache, MakesEachValueOnceWhicheverThreadAsksFirst) {
  Cache cache;
  std::atomic<int> made = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto value = cache.get<std::vector<int>>("weights", [&] {
        ++made;
        return std::vector<int>(1000, 7);
      });
      EXPECT_EQ(value->at(999), 7);
    });
  threads.clear();
  EXPECT_EQ(made, 1);
  EXPECT_GE(cache.bytes(), 4000u);
}

TEST(Cache, DropsWhatWasNotUsedForLongestAndLeavesItToItsHolder) {
  Cache cache(2);
  const auto first = cache.get<int>("1", [] { return 1; });
  (void)cache.get<int>("2", [] { return 2; });
  (void)cache.get<int>("1", [] { return -1; });
  (void)cache.get<int>("3", [] { return 3; });
  EXPECT_EQ(cache.count(), 2u);
  EXPECT_EQ(*first, 1);
  EXPECT_EQ(*cache.get<int>("1", [] { return -1; }), 1);
  EXPECT_EQ(*cache.get<int>("2", [] { return 20; }), 20) << "it had gone";
}

TEST(Cache, KeepsToItsBytesAndTellsTypesApart) {
  Cache cache(10, 10000);
  for (int i = 0; i < 10; ++i)
    (void)cache.get<std::vector<char>>(std::to_string(i), [] { return std::vector<char>(4000); });
  EXPECT_EQ(cache.count(), 2u);
  EXPECT_EQ(cache.get<std::vector<char>>("big", [] { return std::vector<char>(20000); })->size(), 20000u);
  EXPECT_EQ(cache.count(), 2u) << "what is larger than all there is is not kept";
  EXPECT_EQ(*cache.get<int>("9", [] { return 5; }), 5);
  EXPECT_EQ(cache.get<std::vector<char>>("9", [] { return std::vector<char>(1); })->size(), 4000u);
}

TEST(Cache, KeepsNothingOfWhatCouldNotBeMade) {
  Cache cache;
  EXPECT_THROW((void)cache.get<int>("x", []() -> int { throw std::runtime_error("unreadable"); }), std::runtime_error);
  EXPECT_EQ(*cache.get<int>("x", [] { return 4; }), 4);
}

}  // namespace
}  // namespace frazil::flow
