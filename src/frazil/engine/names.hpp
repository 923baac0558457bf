// What a person means by a name: every name that people see anywhere finds what it names.
#pragma once

#include <string>
#include <vector>

#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// What fits a name.
struct Named {
  std::vector<int> subjects;        ///< in the order they came up
  std::vector<std::int64_t> items;  ///< numbers of those that were named by an id of their own
  bool is_part = false;             ///< the name is only a part of theirs
};

/// Subjects and items that a text names: a short name, a label, a file's name with or without extension, its path
/// (below the watched folder or longer), an id or its first six digits or more; if nothing has such a name, a part of
/// one of these names, or the name of a file that was made from one ("mic_7_DW.mrc").
/// @throws Error(bad_input) if the text is empty
[[nodiscard]] Named find_named(const State& state, store::Reader& reader, const std::string& text);

/// The one subject that a text names, for changing it. @throws Error(not_found) if there is none, Error(bad_input) if
/// several fit, naming them
[[nodiscard]] int the_one(const State& state, store::Reader& reader, const std::string& text);

/// True if a text names this path: the path itself, the end of a longer one, the file's name with or without extension.
[[nodiscard]] bool names_path(const std::string& text, const std::string& path);

}  // namespace frazil::engine
