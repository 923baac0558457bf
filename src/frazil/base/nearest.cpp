#include "frazil/base/nearest.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace frazil {
namespace {

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

/// Letters to change, leave out, add or swap with their neighbours (optimal string alignment).
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool is_same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (is_same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

bool begins_with(std::string_view name, std::string_view word) {
  return name.size() > word.size() &&
         std::equal(word.begin(), word.end(), name.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& names) {
  std::string best;
  auto least = std::min<std::size_t>(3, 1 + word.size() / 4) + 1;  // of few letters few may be wrong
  for (const auto& name : names)
    if (const auto edits = edits_between(word, name); edits < least) {
      least = edits;
      best = name;
    }
  constexpr std::size_t telling = 3;  // letters that say which name is meant
  if (best.empty() && word.size() >= telling)
    for (const auto& name : names)
      if (begins_with(name, word)) return name;
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
  const auto name = nearest(word, names);
  return name.empty() ? std::string() : ", did you mean " + name + "?";
}

}  // namespace frazil
