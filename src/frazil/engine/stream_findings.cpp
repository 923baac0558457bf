#include "frazil/engine/stream_findings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace frazil::engine {
namespace {

bool is_same_alarm(const Finding& a, const Finding& b) { return a.kind == b.kind && a.about == b.about; }

bool have_alarm(const std::vector<Finding>& list, const Finding& finding) {
  return std::any_of(list.begin(), list.end(), [&](const Finding& other) { return is_same_alarm(other, finding); });
}

}  // namespace

void StreamFindings::add(std::string label, std::vector<Finding> findings) {
  files_.push_front({std::move(label), std::move(findings)});
  if (files_.size() > window) files_.pop_back();
}

std::vector<Finding> StreamFindings::standing() const {
  std::vector<Finding> list;
  for (const auto& file : files_)
    for (const auto& finding : file.findings) {
      if (have_alarm(list, finding)) continue;
      const auto count = static_cast<std::size_t>(std::count_if(
          files_.begin(), files_.end(), [&](const File& other) { return have_alarm(other.findings, finding); }));
      list.push_back(finding);
      if (count < files_.size())
        list.back().text +=
            fmt::format(" ({} of the last {} files, {} was the last)", count, files_.size(), file.label);
    }
  return list;
}

}  // namespace frazil::engine
