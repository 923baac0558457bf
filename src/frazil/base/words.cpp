#include "frazil/base/words.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <utility>

namespace frazil {

std::string grouped(double count) {
  auto text = fmt::format("{:.0f}", std::abs(count));
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return (std::llround(count) < 0 ? "-" : "") + text;
}

std::string counted(double count, std::string_view one) {
  std::string word(one);
  if (std::llround(count) != 1 && !one.ends_with('s')) {
    const bool is_y = one.size() > 1 && one.ends_with('y') &&
                      std::string_view("aeiou").find(one[one.size() - 2]) == std::string_view::npos;
    word = is_y ? word.substr(0, word.size() - 1) + "ies" : word + "s";
  }
  return grouped(count) + " " + word;
}

std::string elapsed_text(double seconds) {
  const auto s = seconds > 0 ? std::llround(seconds) : 0;
  if (s < 120) return fmt::format("{} s", s);
  if (s < 7200) return fmt::format("{} min", s / 60);
  if (s < 172800) return fmt::format("{} h{}", s / 3600, s / 60 % 60 == 0 ? "" : fmt::format(" {} min", s / 60 % 60));
  return fmt::format("{} days{}", s / 86400, s / 3600 % 24 == 0 ? "" : fmt::format(" {} h", s / 3600 % 24));
}

std::string moment_text(double time) {
  const auto whole = static_cast<std::time_t>(std::floor(time));
  std::tm local{};
  localtime_r(&whole, &local);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string with_units(std::string_view sentence) {
  constexpr std::pair<std::string_view, std::string_view> units[] = {
      {" e-/A^2", " e⁻/Å²"}, {" A^2", " Å²"}, {" A", " Å"}, {" um", " µm"}};
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::string text;
  for (std::size_t at = 0; at < sentence.size();) {
    const auto rest = sentence.substr(at);
    const bool after_number = at > 0 && std::isdigit(static_cast<unsigned char>(sentence[at - 1])) != 0;
    const auto* unit = std::find_if(std::begin(units), std::end(units), [&](const auto& one) {
      return after_number && rest.starts_with(one.first) &&
             (rest.size() == one.first.size() || !is_word(rest[one.first.size()]));
    });
    if (unit == std::end(units)) {
      text += sentence[at++];
    } else {
      text += unit->second;
      at += unit->first.size();
    }
  }
  return text;
}

std::string significant(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  if (value != 0 && std::abs(value) >= std::pow(10.0, digits)) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}g}", value, digits);
}

}  // namespace frazil
