// The short reasons in records and filters, as people read them.
#pragma once

#include <string>
#include <string_view>

namespace frazil {

/// "outside" → "box over the edge"; what speaks for itself stays.
[[nodiscard]] inline std::string reason_in_words(std::string_view reason) {
  if (reason == "outside") return "box over the edge";
  if (reason == "flat") return "without contrast around it";
  if (reason == "not taken further") return "from micrographs set aside elsewhere";
  if (reason == "in both") return "found twice";
  if (reason.empty()) return "not explained";
  return std::string(reason);
}

}  // namespace frazil
