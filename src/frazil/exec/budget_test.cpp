#include "frazil/exec/budget.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace frazil::exec {
namespace {

bool is_called(const Budget::Account& account) {
  pollfd file{account.descriptor(), POLLIN, 0};
  return ::poll(&file, 1, 0) == 1;
}

TEST(Budget, WhoHasHadLeastComesNext) {
  const auto budget = std::make_shared<Budget>(2, 1000);
  Budget::Account first(budget), second(budget);
  first.wants(true);
  EXPECT_EQ(first.free_threads(), 2) << "alone it has everything";
  first.take(1, 100);
  first.take(1, 100);
  second.wants(true);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(second.free_threads(), 0) << "nothing is taken away";
  EXPECT_FALSE(is_called(second));
  first.give_back(1, 100);
  EXPECT_TRUE(is_called(second));
  EXPECT_EQ(first.free_threads(), 0) << "it is the turn of the other";
  EXPECT_EQ(second.free_threads(), 1);
  second.take(1, 100);
  first.give_back(1, 100);
  EXPECT_EQ(first.free_threads(), 0) << "the other has still had less";
  second.wants(false);
  EXPECT_TRUE(is_called(first)) << "the other needs no more";
  EXPECT_EQ(first.free_threads(), 1);
}

TEST(Budget, IdleTimeIsNotSavedUp) {
  const auto budget = std::make_shared<Budget>(1, 1000);
  Budget::Account busy(budget), idle(budget);
  busy.wants(true);
  busy.take(1, 100);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  busy.give_back(1, 100);
  idle.wants(true);
  idle.take(1, 100);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  idle.give_back(1, 100);
  EXPECT_EQ(idle.free_threads(), 0) << "5 ms after 20 of the other: its turn was once, not four times";
  EXPECT_EQ(busy.free_threads(), 1);
}

TEST(Budget, MemoryIsReservedAndGpusAreHandedOutOnce) {
  const auto budget = std::make_shared<Budget>(4, 1000, std::vector<std::string>{"0", "2"});
  Budget::Account first(budget), second(budget);
  EXPECT_TRUE(first.fits(1, 5000)) << "alone on the machine";
  first.take(1, 800);
  EXPECT_FALSE(second.fits(1, 300));
  EXPECT_TRUE(second.fits(1, 200));
  const auto gpus = first.take_gpus(1);
  EXPECT_EQ(gpus, std::vector<std::string>{"0"});
  EXPECT_EQ(second.free_gpus(), 1);
  EXPECT_EQ(second.take_gpus(1), std::vector<std::string>{"2"});
  first.give_back_gpus(gpus);
  EXPECT_EQ(second.free_gpus(), 1);
}

}  // namespace
}  // namespace frazil::exec
