// A microscope that writes files: recorded movies dropped into a folder at a chosen rate, growing as a camera's do,
// with chosen faults.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "frazil/base/random.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::cli {

/// late: arrives after all others. truncated: stops at 60 %, is completed later. forever: stops at 60 %. duplicate: the
/// same bytes again under another name. out_of_order: changes places with its successor.
enum class Fault { late, truncated, forever, duplicate, out_of_order };
constexpr auto names_of(Fault) { return std::array{"late", "truncated", "forever", "duplicate", "out-of-order"}; }

struct RecordedFile {
  std::filesystem::path path;
  std::uintmax_t bytes = 0;
};

/// One append to a growing file.
struct ReplayWrite {
  double time_s = 0;
  std::filesystem::path source;
  std::string target;               ///< file name in the receiving folder
  std::uintmax_t from = 0, to = 0;  ///< bytes
  std::string event;                ///< "started", "grown", "completed", "truncated"
  std::string fault;                ///< name of the file's fault, empty: none
};

/// "late,truncated" as faults. @throws Error(bad_input) listing the known ones
[[nodiscard]] std::vector<Fault> parse_faults(const std::string& text);
/// Movies and images (mrc, mrcs, tif, tiff, eer) of a folder by name. @throws Error(not_found) if there are none
[[nodiscard]] std::vector<RecordedFile> recorded_files(const std::filesystem::path& folder);

/// The whole replay as appends in order of time. Each file grows in four chunks over half of the interval (2 s at
/// most). Each fault strikes one file in ten, at least one, no file twice while there are enough. Depends on its
/// arguments only.
[[nodiscard]] std::vector<ReplayWrite> plan_replay(const std::vector<RecordedFile>& files, double per_minute,
                                                   const std::vector<Fault>& faults, const Rng& rng);

/// Carries the plan out. `wait(seconds since start)` returns when that time has come, false to stop early.
void run_replay(const std::vector<ReplayWrite>& plan, const std::filesystem::path& into,
                const std::function<bool(double)>& wait, const std::function<void(const ReplayWrite&)>& report);

}  // namespace frazil::cli
