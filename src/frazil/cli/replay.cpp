#include "frazil/cli/replay.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <set>

#include "frazil/base/files.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;
constexpr int chunks = 4;
constexpr double truncated_at = 0.6;

/// Appends that write bytes [0, until) of a file from `start_s` on.
void grow(std::vector<ReplayWrite>& plan, const RecordedFile& file, const std::string& target, double start_s,
          double duration_s, const std::string& fault, bool truncate) {
  const auto until =
      truncate ? static_cast<std::uintmax_t>(truncated_at * static_cast<double>(file.bytes)) : file.bytes;
  for (int c = 0; c < chunks; ++c) {
    const auto from = until * static_cast<std::uintmax_t>(c) / chunks,
               to = until * static_cast<std::uintmax_t>(c + 1) / chunks;
    const bool last = c + 1 == chunks;
    plan.push_back({start_s + duration_s * c / chunks, file.path, target, from, to,
                    last     ? (truncate ? "truncated" : "completed")
                    : c == 0 ? "started"
                             : "grown",
                    fault});
  }
}

/// Which files suffer which fault: index into `files` → fault.
std::vector<std::pair<std::size_t, Fault>> strike(std::size_t count, const std::vector<Fault>& faults, Rng rng) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  std::vector<std::pair<std::size_t, Fault>> struck;
  std::size_t next = 0;
  for (const auto fault : faults)
    for (std::size_t i = 0; i < std::max<std::size_t>(1, count / 10); ++i)
      struck.emplace_back(order[next++ % count], fault);
  return struck;
}

std::string copy_name(const fs::path& path) { return path.stem().string() + "_copy" + path.extension().string(); }

}  // namespace

std::vector<Fault> parse_faults(const std::string& text) {
  std::vector<Fault> faults;
  std::string rest = text;
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    Fault fault{};
    const auto word = rest.substr(0, comma);
    if (const auto problem = detail::value_from_json(Json(word), fault); !problem.empty())
      throw Error(ErrorCode::bad_input, "--fault {} {}", word, problem);
    faults.push_back(fault);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  return faults;
}

std::vector<RecordedFile> recorded_files(const fs::path& folder) {
  static const std::set<std::string> endings{".mrc", ".mrcs", ".tif", ".tiff", ".eer"};
  if (!fs::is_directory(folder)) throw Error(ErrorCode::not_found, "{}: no such folder", folder.string());
  std::vector<RecordedFile> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && endings.contains(entry.path().extension().string()))
      files.push_back({entry.path(), entry.file_size()});
  if (files.empty())
    throw Error(ErrorCode::not_found, "{}: holds no .mrc, .mrcs, .tif, .tiff or .eer file", folder.string());
  std::sort(files.begin(), files.end(),
            [](const RecordedFile& a, const RecordedFile& b) { return a.path.filename() < b.path.filename(); });
  return files;
}

std::vector<ReplayWrite> plan_replay(const std::vector<RecordedFile>& files, double per_minute,
                                     const std::vector<Fault>& faults, const Rng& rng) {
  if (!(per_minute > 0)) throw Error(ErrorCode::bad_input, "--rate must be above 0 files a minute, not {}", per_minute);
  const double interval_s = 60 / per_minute, duration_s = std::min(2.0, interval_s / 2);
  std::vector<double> start_s(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) start_s[i] = interval_s * static_cast<double>(i);
  const double end_s = interval_s * static_cast<double>(files.size());
  const auto struck = strike(files.size(), faults, rng.stream("faults"));
  std::vector<std::string> fault_of(files.size());
  double late_s = end_s + 2 * interval_s;
  for (const auto& [i, fault] : struck) {
    fault_of[i] += (fault_of[i].empty() ? "" : "+") + std::string(name_of(fault));
    if (fault == Fault::out_of_order && files.size() > 1)
      std::swap(start_s[i], start_s[i + 1 < files.size() ? i + 1 : i - 1]);
    if (fault == Fault::late) start_s[i] = late_s, late_s += interval_s;
  }
  std::vector<ReplayWrite> plan;
  const auto has = [&](std::size_t i, Fault fault) {
    return std::find(struck.begin(), struck.end(), std::pair{i, fault}) != struck.end();
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto name = files[i].path.filename().string();
    const bool forever = has(i, Fault::forever), truncated = has(i, Fault::truncated) || forever;
    grow(plan, files[i], name, start_s[i], duration_s, fault_of[i], truncated);
    if (truncated && !forever)
      plan.push_back(
          {start_s[i] + 3 * interval_s, files[i].path, name, plan.back().to, files[i].bytes, "completed", fault_of[i]});
    if (has(i, Fault::duplicate))
      grow(plan, files[i], copy_name(files[i].path), start_s[i] + 1.5 * interval_s, duration_s, "duplicate", false);
  }
  std::stable_sort(plan.begin(), plan.end(),
                   [](const ReplayWrite& a, const ReplayWrite& b) { return a.time_s < b.time_s; });
  return plan;
}

void run_replay(const std::vector<ReplayWrite>& plan, const fs::path& into, const std::function<bool(double)>& wait,
                const std::function<void(const ReplayWrite&)>& report) {
  make_folders(into);
  std::vector<char> buffer;
  for (const auto& write : plan) {
    if (!wait(write.time_s)) return;
    std::ifstream source(write.source, std::ios::binary);
    std::ofstream target(into / write.target, std::ios::binary | (write.from == 0 ? std::ios::trunc : std::ios::app));
    buffer.resize(static_cast<std::size_t>(write.to - write.from));
    source.seekg(static_cast<std::streamoff>(write.from));
    if (!source.read(buffer.data(), static_cast<std::streamsize>(buffer.size())))
      throw Error(ErrorCode::io, "{}: could not read bytes {} to {}", write.source.string(), write.from, write.to);
    if (!target.write(buffer.data(), static_cast<std::streamsize>(buffer.size())).flush())
      throw Error(ErrorCode::io, "{}: could not append {} bytes", (into / write.target).string(), buffer.size());
    report(write);
  }
}

}  // namespace frazil::cli
