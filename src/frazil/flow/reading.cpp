#include "frazil/flow/reading.hpp"

#include <algorithm>

#include "frazil/base/nearest.hpp"
#include "frazil/flow/substitution.hpp"

namespace frazil::flow {

void unknown_keys(const Json& object, std::initializer_list<std::string_view> known, const std::string& place,
                  std::vector<Problem>& problems) {
  for (const auto& [key, value] : object.items())
    if (!is_comment(key) && std::find(known.begin(), known.end(), key) == known.end())
      problems.push_back({place, "unknown key \"" + key + "\"" +
                                     did_you_mean(key, std::vector<std::string>(known.begin(), known.end()))});
}

std::string text_at(const Json& object, std::string_view key, const std::string& place, std::vector<Problem>& problems,
                    std::string fallback) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  if (!found->is_string()) {
    problems.push_back({place + "." + std::string(key), "must be text, not " + found->dump()});
    return fallback;
  }
  return found->get<std::string>();
}

std::string port_names(const std::vector<PortInfo>& ports) {
  std::string names;
  for (const auto& port : ports) names += (names.empty() ? "" : ", ") + port.name;
  return names;
}

}  // namespace frazil::flow
