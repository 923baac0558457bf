#include "frazil/protocols/coordinate_files.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "frazil/protocols/from_file.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

using RowsOfName = std::map<std::string, std::vector<std::size_t>, std::less<>>;

RowsOfName rows_by_name(const io::StarTable& table, int column) {
  RowsOfName rows;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto name = table.text(row, column);
    auto found = rows.find(name);
    if (found == rows.end()) found = rows.emplace(std::string(name), std::vector<std::size_t>{}).first;
    found->second.push_back(row);
  }
  return rows;
}

/// The one micrograph that fits, null if none does. @throws Error(bad_input) if several do
const std::vector<std::size_t>* only(const RowsOfName& rows, const std::function<bool(const std::string&)>& fits,
                                     const io::StarTable& table, const std::string& micrograph) {
  const RowsOfName::value_type* found = nullptr;
  for (const auto& entry : rows) {
    if (!fits(entry.first)) continue;
    if (found != nullptr)
      throw Error(ErrorCode::bad_input,
                  "{}: {} could be {} or {}: give the micrograph by the path that the table names",
                  table.place(entry.second.front()), micrograph, found->first, entry.first);
    found = &entry;
  }
  return found == nullptr ? nullptr : &found->second;
}

}  // namespace

bool same_path(const std::string& a, const std::string& b) {
  const auto x = fs::path(a).lexically_normal(), y = fs::path(b).lexically_normal();
  const auto nx = std::distance(x.begin(), x.end()), ny = std::distance(y.begin(), y.end());
  const auto shorter = std::min(nx, ny);
  if (shorter < 2) return x == y;
  return std::equal(std::prev(x.end(), shorter), x.end(), std::prev(y.end(), shorter));
}

std::vector<std::size_t> rows_of_micrograph(const io::StarTable& table, const std::string& exactly,
                                            const std::string& micrograph) {
  std::vector<std::size_t> all(table.rows());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const auto column = table.find_column("rlnMicrographName");
  if (!column) return all;
  const auto rows = rows_by_name(table, *column);
  if (rows.size() <= 1) return all;
  if (const auto found = rows.find(exactly); found != rows.end()) return found->second;
  const auto& asked = micrograph.empty() ? exactly : micrograph;
  if (const auto* found = only(
          rows, [&](const std::string& n) { return same_path(n, asked); }, table, asked))
    return *found;
  const auto area = area_name(asked);
  if (const auto* found = only(
          rows, [&](const std::string& n) { return area_name(n) == area; }, table, asked))
    return *found;
  throw Error(ErrorCode::bad_input, "{}: holds positions of {} micrographs ({}, {} …), none of {}", table.place(0),
              rows.size(), rows.begin()->first, std::next(rows.begin())->first, asked.empty() ? "this one" : asked);
}

CoordinateRows read_coordinates(const Coordinates& coordinates, const std::string& micrograph,
                                const flow::Context& context) {
  CoordinateRows read{io::read_star(context.input(coordinates.coordinates)), {}};
  read.rows = rows_of_micrograph(read.table(), coordinates.micrograph, micrograph);
  return read;
}

}  // namespace frazil::protocols
