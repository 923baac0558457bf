// How often the watchers of camera and optics ring in vain, and after how many movies they find a fault.
//
//   watch_bench measure FILE [FITS]   runs the CTF estimator on simulated spectra of sessions, clean and with wrong
//                                     optics, FITS of each (40), and writes what it says of each spectrum
//   watch_bench watch FILE [SEED]     draws sessions from these measurements and asks the watchers: prints the rate of
//                                     false alarms and the table of faults
#include <cstdlib>
#include <exception>
#include <string>

#include "watch_sessions.hpp"

int main(int argc, char** argv) {
  using namespace frazil;
  const std::string what = argc > 2 ? argv[1] : "";
  try {
    if (what == "measure") return bench::measure(argv[2], argc > 3 ? std::atoi(argv[3]) : 40);
    if (what == "watch") return bench::watch(argv[2], argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1);
  } catch (const std::exception& error) {
    fmt::print(stderr, "watch_bench: {}\n", error.what());
    return 2;
  }
  fmt::print(stderr, "watch_bench measure FILE [FITS] | watch FILE [SEED]\n");
  return 2;
}
