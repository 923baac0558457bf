// STAR files: tables of text cells with typed access, read fast and written as RELION 3.1 and later do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "frazil/io/byte_source.hpp"

namespace frazil::io {

/// One data block: a loop with rows, or a list of label–value pairs (one row, `is_loop` false). Labels carry no leading
/// underscore ("rlnVoltage"). Cells are text; numbers are converted on access and written so that they read back equal.
class StarTable {
 public:
  StarTable() = default;
  explicit StarTable(std::string table_name, std::vector<std::string> column_labels = {}, bool loop = true);

  std::string name;  ///< without "data_": "optics", "particles", may be empty
  bool is_loop = true;

  [[nodiscard]] const std::vector<std::string>& labels() const { return labels_; }
  [[nodiscard]] int columns() const { return static_cast<int>(labels_.size()); }
  [[nodiscard]] std::size_t rows() const { return labels_.empty() ? 0 : cells_.size() / labels_.size(); }
  [[nodiscard]] bool has(std::string_view label) const { return find_column(label).has_value(); }
  [[nodiscard]] std::optional<int> find_column(std::string_view label) const;
  /// @throws Error(bad_input) naming file, table and label
  [[nodiscard]] int column(std::string_view label) const;

  /// Cell as text, quotes removed. The view lives until the table is changed.
  [[nodiscard]] std::string_view text(std::size_t row, int column) const;
  [[nodiscard]] std::string_view text(std::size_t row, std::string_view label) const {
    return text(row, column(label));
  }
  /// @throws Error(corrupt) naming file, line, label and what stands there
  [[nodiscard]] double number(std::size_t row, int column) const;
  [[nodiscard]] double number(std::size_t row, std::string_view label) const { return number(row, column(label)); }
  /// Whole numbers; "3.000000" is one.
  [[nodiscard]] long integer(std::size_t row, int column) const;
  [[nodiscard]] long integer(std::size_t row, std::string_view label) const { return integer(row, column(label)); }
  [[nodiscard]] double number_or(std::size_t row, std::string_view label, double otherwise) const;
  /// Whole columns.
  [[nodiscard]] std::vector<double> numbers(std::string_view label) const;
  [[nodiscard]] std::vector<long> integers(std::string_view label) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view label) const;

  /// Appends a column (all rows get `value`) and gives its index; an existing one is kept and given.
  int add_column(std::string_view label, std::string_view value = "0");
  /// Appends an empty row and gives its index; set every cell of it.
  std::size_t add_row();
  void set(std::size_t row, int column, std::string_view value);
  /// Numbers are written in the fewest digits that read back equal (a float as a float).
  template <class T>
  requires std::is_arithmetic_v<T>
  void set(std::size_t row, int column, T value) {
    if constexpr (std::is_integral_v<T>) {
      set_integer(row, column, static_cast<long>(value));
    } else {
      set_real(row, column, value);
    }
  }
  template <class Label, class T>
  requires(!std::is_integral_v<Label>) void set(std::size_t row, const Label& label, const T& value) {
    set(row, column(label), value);
  }
  void reserve(std::size_t row_count, std::size_t text_bytes = 0);

  /// Row appended by the reader, with the line it stands on; cells.size() == columns().
  void append_row(std::span<const std::string_view> cells, std::uint32_t line);
  /// Where the table comes from, for messages.
  void set_source(std::string file) { source_ = std::move(file); }
  /// "file.star line 12" or "table particles row 3".
  [[nodiscard]] std::string place(std::size_t row) const;

 private:
  struct Cell {
    std::uint64_t offset = 0;
    std::uint32_t size = 0;
  };
  void set_integer(std::size_t row, int column, long value);
  void set_real(std::size_t row, int column, double value);
  void set_real(std::size_t row, int column, float value);
  [[nodiscard]] const Cell& cell(std::size_t row, int column) const;
  Cell store(std::string_view value);

  std::string source_;
  std::vector<std::string> labels_;
  std::vector<Cell> cells_;
  std::vector<std::uint32_t> lines_;
  std::string text_;
};

/// The tables of a file in their order.
struct StarFile {
  std::string source;  ///< file it was read from, for messages; may be empty
  std::vector<StarTable> tables;

  [[nodiscard]] const StarTable* find_table(std::string_view name) const;
  /// @throws Error(bad_input) naming the file and the tables it has
  [[nodiscard]] const StarTable& table(std::string_view name) const;
  StarTable& table(std::string_view name);
  /// The first table with this label. @throws Error(bad_input)
  [[nodiscard]] const StarTable& table_with(std::string_view label) const;
  StarTable& add(StarTable table);
};

/// loop_ and simple blocks, quoted values, comments, CRLF, missing last newline. A row is one line.
/// @throws Error(corrupt) naming file and line, Error(unsupported) for multi-line text, Error(not_found|io)
[[nodiscard]] StarFile read_star(const std::filesystem::path& path);
[[nodiscard]] StarFile read_star(const ByteSource& source);
[[nodiscard]] StarFile parse_star(std::string_view text, const std::string& name);

/// A loop in pieces, for tables too large to be held whole: the bytes are those of `format_star`.
class StarLoop {
 public:
  /// @param first  the first rows of the table: 100, or all that there are
  explicit StarLoop(const StarTable& first);
  /// What stands before the rows, and behind them.
  [[nodiscard]] std::string head() const;
  [[nodiscard]] static std::string tail();
  /// Rows of a table with the same columns.
  void append(const StarTable& rows, std::string& out) const;
  /// What rows of equal values hang on: equal for loops that write them alike.
  [[nodiscard]] std::string basis() const;

 private:
  std::string name_;
  std::vector<std::string> labels_;
  std::vector<std::size_t> widths_;
};

/// Written atomically with a `# version 30001` line before each table. @throws Error(io|resource)
void write_star(const std::filesystem::path& path, const StarFile& file);
[[nodiscard]] std::string format_star(const StarFile& file);

}  // namespace frazil::io
