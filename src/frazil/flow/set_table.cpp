#include "frazil/flow/set_table.hpp"

#include <algorithm>

namespace frazil::flow {

std::string whole_table(TableFormat& format, const std::vector<Json>& records) {
  std::vector<std::string> parts;
  for (const auto& record : records)
    if (auto part = format.part(record); std::find(parts.begin(), parts.end(), part) == parts.end())
      parts.push_back(std::move(part));
  std::size_t at = 0;
  const auto layout = format.layout(parts, [&]() -> std::optional<Json> {
    return at < records.size() ? std::optional(records[at++]) : std::nullopt;
  });
  auto text = layout->head();
  for (const auto& record : records) text += layout->rows(record);
  return text + layout->tail();
}

}  // namespace frazil::flow
