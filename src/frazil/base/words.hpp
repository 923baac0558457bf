// Numbers, times and counts as people read them: the same everywhere that frazil speaks.
#pragma once

#include <string>
#include <string_view>

namespace frazil {

/// "12", "1,234": whole numbers with their thousands apart.
[[nodiscard]] std::string grouped(double count);
/// "1 movie", "12 movies", "1 duplicate": `one` is the word for a single one. Words that end in "s" stay as they are.
[[nodiscard]] std::string counted(double count, std::string_view one);
/// "8 s", "12 min", "2 h 10 min", "3 days 4 h": a stretch of time.
[[nodiscard]] std::string elapsed_text(double seconds);
/// "2026-08-01 05:04:12": a moment, seconds since 1970, in the time of this place.
[[nodiscard]] std::string moment_text(double time);
/// The number with `digits` significant digits and no trailing zeros: "0.7036", "1,250" stays "1250".
[[nodiscard]] std::string significant(double value, int digits = 4);

/// A sentence with its units as people write them: "5.5 A" becomes "5.5 Å", "2 e-/A^2" "2 e⁻/Å²", "1.2 um" "1.2 µm".
/// Only behind a number.
[[nodiscard]] std::string with_units(std::string_view sentence);

}  // namespace frazil
