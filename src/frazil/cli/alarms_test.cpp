#include "frazil/cli/alarms.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "frazil/base/error.hpp"

namespace frazil::cli {
namespace {

class TimesOfPeople : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  static constexpr double now = 1'782'986'400;  // 2026-07-02 10:00 UTC
};

TEST_F(TimesOfPeople, AreSpansBeforeNowOrDates) {
  EXPECT_EQ(date_and_time(now), "2026-07-02 10:00");
  EXPECT_EQ(time_of("90min", now), now - 5400);
  EXPECT_EQ(time_of("2h", now), now - 7200);
  EXPECT_EQ(time_of("1.5d", now), now - 129600);
  EXPECT_EQ(time_of("09:30", now), now - 1800);
  EXPECT_EQ(time_of("2026-07-02", now), now - 36000);
  EXPECT_EQ(time_of("2026-07-01 10:00", now), now - 86400);
  for (const char* wrong : {"", "yesterday", "2 hours", "-2h", "2026-07", "10:00 today"})
    EXPECT_THROW((void)time_of(wrong, now), Error) << wrong;
}

TEST_F(TimesOfPeople, AnAlarmSaysAllThatAPersonNeeds) {
  const Finding dose{AlarmKind::dose, "",  "the dose is 11 times what was typed", "2.2 e-/A^2", "25 e-/A^2",
                     "type 2.5",      0.97};
  const store::AlarmRow row{7, "monitor-gain", dose, now, 0, "ada", now + 60, ""};
  EXPECT_EQ(alarm_text(engine::to_json(row)),
            "ALARM 7 (dose) since 2026-07-02 10:00\n"
            "  monitor-gain: the dose is 11 times what was typed\n"
            "  seen       2.2 e-/A^2\n"
            "  expected   25 e-/A^2\n"
            "  what to do type 2.5\n"
            "  certainty  97 %\n"
            "  known to   ada\n");
  EXPECT_EQ(alarm_summary({}), "");
  EXPECT_EQ(alarm_summary({row}), "1 alarm stands: monitor-gain: the dose is 11 times what was typed");
  auto disk = row;
  disk.finding = {.kind = AlarmKind::disk, .text = "the disk is full"};
  disk.source = "engine";
  EXPECT_EQ(alarm_summary({row, disk}), "2 alarms stand, the gravest: engine: the disk is full");
}

}  // namespace
}  // namespace frazil::cli
