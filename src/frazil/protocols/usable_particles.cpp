#include "frazil/protocols/usable_particles.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/parallel.hpp"
#include "frazil/image/sound.hpp"

namespace frazil::protocols {
namespace {

/// Why a row cannot be used; empty: it can.
std::string problem_of(const ParticleFiles& files, std::size_t row) {
  const auto& ctf = files.set.ctf[row];
  for (const double value : {ctf.defocus_u.value(), ctf.defocus_v.value(), ctf.astigmatism_angle.value(),
                             ctf.phase_shift.value(), ctf.b_factor.value()})
    if (!std::isfinite(value)) return "CTF not finite";
  for (const auto* label : {"rlnOriginXAngst", "rlnOriginYAngst"})
    if (!std::isfinite(files.table.number_or(row, label, 0))) return "origin not finite";
  const auto found = soundness(files.set.image(row));
  return found == Soundness::sound ? std::string() : std::string(to_string(found));
}

LeftOut counted(const std::vector<std::string>& problems) {
  LeftOut out;
  for (const auto& problem : problems) {
    if (problem.empty()) continue;
    const auto at = std::find(out.reasons.begin(), out.reasons.end(), problem) - out.reasons.begin();
    if (static_cast<std::size_t>(at) == out.reasons.size()) {
      out.reasons.push_back(problem);
      out.counts.push_back(0);
    }
    ++out.counts[static_cast<std::size_t>(at)];
  }
  return out;
}

template <class T>
std::vector<T> chosen(const std::vector<T>& all, const std::vector<std::size_t>& rows) {
  std::vector<T> some;
  some.reserve(rows.size());
  for (const auto row : rows) some.push_back(all[row]);
  return some;
}

}  // namespace

LeftOut keep_usable(ParticleFiles& files, const flow::Context& context) {
  std::vector<std::string> problems(files.set.count());
  parallel_for(context.threads(), problems.size(), [&](std::size_t i) {
    context.check_cancelled();
    problems[i] = problem_of(files, i);
  });
  auto out = counted(problems);
  if (out.reasons.empty()) return out;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < problems.size(); ++i)
    if (problems[i].empty()) rows.push_back(i);
  if (rows.empty()) {
    std::string all;
    for (std::size_t i = 0; i < out.reasons.size(); ++i)
      all += fmt::format("{}{} {}", i > 0 ? ", " : "", out.counts[i], out.reasons[i]);
    throw Error(ErrorCode::bad_input, "{}: none of the {} particles can be used: {}", files.table.place(0),
                problems.size(), all);
  }
  files.table = pick_rows(files.table, rows);
  files.set.ctf = chosen(files.set.ctf, rows);
  files.set.optics = chosen(files.set.optics, rows);
  files.set.image = [read = std::move(files.set.image), rows](std::size_t i) { return read(rows[i]); };
  return out;
}

}  // namespace frazil::protocols
