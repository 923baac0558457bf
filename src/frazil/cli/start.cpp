#include "frazil/cli/start.hpp"

#include <fmt/format.h>

namespace frazil::cli {
namespace {

/// " (a_001.tiff: 1024 × 1024, 16 frames)" as far as the record tells.
std::string first_text(const engine::Probe::Source& source) {
  if (source.first.empty()) return {};
  const auto number = [&](const char* key) { return source.record.value(key, 0); };
  std::string size;
  if (number("nx") > 0) size = fmt::format(": {} × {}", number("nx"), number("ny"));
  if (number("frames") > 0) size += fmt::format(", {} frames", number("frames"));
  return fmt::format(" ({}{})", source.first, size);
}

std::string finding_text(const Finding& finding) {
  return fmt::format("{}: {}{}\n", name_of(finding.kind), finding.text,
                     finding.advice.empty() ? "" : ". " + finding.advice);
}

}  // namespace

std::string start_text(const engine::Probe& probe, bool all) {
  std::string text;
  for (const auto& source : probe.sources)
    if (all)
      text += source.count == 0 ? fmt::format("{}: no file yet in {}\n", source.step, source.files)
                                : fmt::format("{}: {} file{} in {}{}\n", source.step, source.count,
                                              source.count == 1 ? "" : "s", source.files, first_text(source));
  for (const auto& told : probe.told)
    if (all && told.is_taken)
      text += fmt::format("{} = {:.4g}{}{}, as {} says\n", told.parameter, told.value, told.unit.empty() ? "" : " ",
                          told.unit, told.from);
  for (const auto& finding : probe.findings) text += finding_text(finding);
  return text;
}

std::string problems_text(const engine::Probe& probe) { return flow::describe(probe.problems); }

}  // namespace frazil::cli
