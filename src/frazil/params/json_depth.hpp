// How deeply JSON may be nested.
#pragma once

#include <string_view>

namespace frazil {

/// Levels that any text of ours may have; a text of a few kilobytes could have thousands. The library copies, compares
/// and writes values recursively, so that some ten thousand levels end the program with its stack.
constexpr int deepest_json = 200;

/// Whether objects and lists stand within each other on more than `most` levels. What is no JSON has a depth too.
[[nodiscard]] bool is_nested_deeper(std::string_view text, int most = deepest_json);

}  // namespace frazil
