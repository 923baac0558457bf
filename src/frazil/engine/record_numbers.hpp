// The numbers in a stored record: what columns are made of.
#pragma once

#include <functional>
#include <string_view>

namespace frazil::engine {

/// Calls `visit` with every number of a JSON object, by the name of its field; those of objects in it as "outer.inner".
/// true and false are 1 and 0. Lists are left out, but for counts by reason: "x_reasons": ["a", "b"] beside "x_counts":
/// [1, 2] are the numbers "x.a" and "x.b". Stops quietly where the text is no JSON: records were checked when
/// they were stored.
void for_numbers(std::string_view record, const std::function<void(std::string_view name, double value)>& visit);

}  // namespace frazil::engine
