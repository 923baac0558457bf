#include "frazil/cli/progress_bar.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

namespace frazil::cli {
namespace {

TEST(ProgressBar, CountsItemsAndTheirParts) {
  EXPECT_EQ(bar_line("mic", 0, 1, 0.5, "aligned", 100), "mic [##########..........] 50 %: aligned");
  EXPECT_EQ(bar_line("mic", 3, 4, 1, "", 100), "mic [####################] 100 %, 3 of 4");
  EXPECT_EQ(bar_line("mic", 0, 1, NAN, "reading", 100), "mic [....................] 0 %: reading");
  EXPECT_EQ(bar_line("mic", 0, 1, 7, "", 12).size(), 12u);
}

/// What a terminal, or a pipe, is sent.
std::string shown_on(bool terminal) {
  int file = -1, other = -1;
  if (terminal) {
    other = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (other < 0 || ::grantpt(other) != 0 || ::unlockpt(other) != 0) return "no terminal";
    file = ::open(::ptsname(other), O_RDWR | O_NOCTTY);
  } else {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK) != 0) return "no pipe";
    other = ends[0], file = ends[1];
  }
  {
    ProgressBar bar(file, 0);
    bar.begin("mic_0001", 0, 2);
  }
  char text[500];
  const auto n = ::read(other, text, sizeof(text));
  ::close(file);
  ::close(other);
  return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : std::string();
}

TEST(ProgressBar, IsShownOnTerminalsOnlyAndWipedOut) {
  EXPECT_NE(shown_on(true).find("mic_0001 ["), std::string::npos);
  EXPECT_TRUE(shown_on(true).ends_with("\r\x1b[K"));
  EXPECT_EQ(shown_on(false), "");
}

}  // namespace
}  // namespace frazil::cli
