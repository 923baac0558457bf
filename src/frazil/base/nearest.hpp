// What somebody may have meant who misspelt a name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace frazil {

/// The name that comes closest to a word: a few letters other, left out, too many or swapped, capital or not, or a
/// longer name that begins with it. Of several the first; empty if none comes close.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& names);

/// ", did you mean NAME?", or nothing: ends a sentence that refuses a word.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& names);

}  // namespace frazil
