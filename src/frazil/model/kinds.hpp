// The kinds of records by name: what fields each has, which of them name files, and whether a JSON object is one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil {

struct Kind {
  std::string_view name;
  std::vector<std::string_view> files;  ///< the fields that name a file, or are empty
  std::vector<FieldInfo> fields;
  /// The record with every field of its kind and no other. @throws Error(bad_input) naming a field of another type
  std::function<Json(const Json& record)> complete;
};

/// Every kind that protocols of this program exchange. Plugins may add others, of which nothing is known.
[[nodiscard]] const std::vector<Kind>& kinds();
/// Null when there is none of that name.
[[nodiscard]] const Kind* find_kind(std::string_view name);

/// The names of files in a record, in the order of its fields; empty ones are left out, and so is everything of an
/// unknown kind.
[[nodiscard]] std::vector<std::string> files_of(std::string_view kind, const Json& record);
/// Replaces the names of files in a record by what `rename` makes of them.
void rename_files(std::string_view kind, Json& record, const std::function<std::string(const std::string&)>& rename);

}  // namespace frazil
