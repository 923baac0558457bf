#include "frazil/io/star.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

template <class T>
bool convert(std::string_view text, T& value) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && !text.empty();
}

/// A number in the fewest digits that read back equal.
class Digits {
 public:
  template <class T>
  explicit Digits(T value) : end_(std::to_chars(buffer_, buffer_ + sizeof buffer_, value).ptr) {}
  explicit operator std::string_view() const { return {buffer_, static_cast<std::size_t>(end_ - buffer_)}; }

 private:
  char buffer_[32];
  char* end_;
};

std::string shortened(std::string_view text) { return std::string(text.substr(0, 40)) + (text.size() > 40 ? "…" : ""); }

}  // namespace

StarTable::StarTable(std::string table_name, std::vector<std::string> column_labels, bool loop)
    : name(std::move(table_name)), is_loop(loop), labels_(std::move(column_labels)) {}

std::optional<int> StarTable::find_column(std::string_view label) const {
  const auto found = std::find(labels_.begin(), labels_.end(), label);
  if (found == labels_.end()) return std::nullopt;
  return static_cast<int>(found - labels_.begin());
}

int StarTable::column(std::string_view label) const {
  if (const auto found = find_column(label)) return *found;
  throw Error(ErrorCode::bad_input, "{}: table data_{} has no column {}", source_.empty() ? "STAR data" : source_, name,
              label);
}

const StarTable::Cell& StarTable::cell(std::size_t row, int column) const {
  expect(column >= 0 && column < columns() && row < rows(), "the cell is in the table");
  return cells_[row * labels_.size() + static_cast<std::size_t>(column)];
}

std::string_view StarTable::text(std::size_t row, int column) const {
  const auto& c = cell(row, column);
  return std::string_view(text_).substr(c.offset, c.size);
}

std::string StarTable::place(std::size_t row) const {
  if (row < lines_.size() && lines_[row] > 0) return fmt::format("{} line {}", source_, lines_[row]);
  return fmt::format("{}{}table data_{} row {}", source_, source_.empty() ? "" : " ", name, row + 1);
}

double StarTable::number(std::size_t row, int column) const {
  const auto value = text(row, column);
  double number = 0;
  if (convert(value, number)) return number;
  throw Error(ErrorCode::corrupt, "{}: {} is \"{}\", a number is expected", place(row),
              labels_[static_cast<std::size_t>(column)], shortened(value));
}

long StarTable::integer(std::size_t row, int column) const {
  const auto value = text(row, column);
  long whole = 0;
  if (convert(value, whole)) return whole;
  double number = 0;
  if (convert(value, number) && std::abs(number) < 9e15 && number == std::floor(number))
    return static_cast<long>(number);
  throw Error(ErrorCode::corrupt, "{}: {} is \"{}\", a whole number is expected", place(row),
              labels_[static_cast<std::size_t>(column)], shortened(value));
}

double StarTable::number_or(std::size_t row, std::string_view label, double otherwise) const {
  const auto found = find_column(label);
  return found ? number(row, *found) : otherwise;
}

std::vector<double> StarTable::numbers(std::string_view label) const {
  const int c = column(label);
  std::vector<double> values(rows());
  for (std::size_t row = 0; row < values.size(); ++row) values[row] = number(row, c);
  return values;
}

std::vector<long> StarTable::integers(std::string_view label) const {
  const int c = column(label);
  std::vector<long> values(rows());
  for (std::size_t row = 0; row < values.size(); ++row) values[row] = integer(row, c);
  return values;
}

std::vector<std::string> StarTable::texts(std::string_view label) const {
  const int c = column(label);
  std::vector<std::string> values(rows());
  for (std::size_t row = 0; row < values.size(); ++row) values[row] = text(row, c);
  return values;
}

StarTable::Cell StarTable::store(std::string_view value) {
  expect(value.size() < std::numeric_limits<std::uint32_t>::max(), "a cell is shorter than 4 GiB");
  const Cell c{text_.size(), static_cast<std::uint32_t>(value.size())};
  text_.append(value);
  return c;
}

int StarTable::add_column(std::string_view label, std::string_view value) {
  if (const auto found = find_column(label)) return *found;
  const auto old_columns = labels_.size(), row_count = rows();
  const Cell filled = store(value);
  std::vector<Cell> wider;
  wider.reserve(row_count * (old_columns + 1));
  for (std::size_t row = 0; row < row_count; ++row) {
    wider.insert(wider.end(), cells_.begin() + static_cast<std::ptrdiff_t>(row * old_columns),
                 cells_.begin() + static_cast<std::ptrdiff_t>((row + 1) * old_columns));
    wider.push_back(filled);
  }
  cells_ = std::move(wider);
  labels_.emplace_back(label);
  return static_cast<int>(old_columns);
}

std::size_t StarTable::add_row() {
  expect(!labels_.empty(), "a table has columns before it has rows");
  cells_.resize(cells_.size() + labels_.size());
  return rows() - 1;
}

void StarTable::set(std::size_t row, int column, std::string_view value) {
  (void)cell(row, column);
  cells_[row * labels_.size() + static_cast<std::size_t>(column)] = store(value);
}

void StarTable::set_integer(std::size_t row, int column, long value) {
  set(row, column, std::string_view(Digits(value)));
}
void StarTable::set_real(std::size_t row, int column, double value) {
  set(row, column, std::string_view(Digits(value)));
}
void StarTable::set_real(std::size_t row, int column, float value) {
  set(row, column, std::string_view(Digits(value)));
}

void StarTable::reserve(std::size_t row_count, std::size_t text_bytes) {
  cells_.reserve(row_count * labels_.size());
  text_.reserve(text_bytes);
}

void StarTable::append_row(std::span<const std::string_view> cells, std::uint32_t line) {
  expect(cells.size() == labels_.size(), "a row has a cell for each column");
  lines_.resize(rows());
  for (const auto value : cells) cells_.push_back(store(value));
  lines_.push_back(line);
}

const StarTable* StarFile::find_table(std::string_view name) const {
  for (const auto& t : tables)
    if (t.name == name) return &t;
  return nullptr;
}

const StarTable& StarFile::table(std::string_view name) const {
  if (const auto* found = find_table(name)) return *found;
  std::vector<std::string> names;
  for (const auto& t : tables) names.push_back("data_" + t.name);
  throw Error(ErrorCode::bad_input, "{}: has no table data_{}, only {}", source.empty() ? "STAR data" : source, name,
              names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", ")));
}

StarTable& StarFile::table(std::string_view name) {
  return const_cast<StarTable&>(std::as_const(*this).table(name));
}  // NOLINT: own member

const StarTable& StarFile::table_with(std::string_view label) const {
  for (const auto& t : tables)
    if (t.has(label)) return t;
  throw Error(ErrorCode::bad_input, "{}: no table has a column {}", source.empty() ? "STAR data" : source, label);
}

StarTable& StarFile::add(StarTable table) {
  tables.push_back(std::move(table));
  return tables.back();
}

}  // namespace frazil::io
