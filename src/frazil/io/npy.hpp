// NumPy's .npy with named columns (a structured array), as cryoSPARC keeps its datasets in .cs files. Written, not
// read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace frazil::io {

/// Rows of fixed-size columns, little endian, packed.
class NpyTable {
 public:
  /// `type` as NumPy writes it: "<u4", "<u8", "<f4", "|S40"; `count` values a row.
  void add_column(const std::string& name, const std::string& type, int count = 1);
  /// Appends a row of zeros and gives its index. All columns must be there before the first row.
  std::size_t add_row();
  [[nodiscard]] std::size_t rows() const { return rows_; }

  /// Sets value `index` of a column. @throws Error(bug) for an unknown column, Error(bad_input) for text longer than
  /// the column
  void set(std::size_t row, std::string_view column, double value, int index = 0);
  void set(std::size_t row, std::string_view column, std::uint64_t value, int index = 0);
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, std::uint64_t>) void set(std::size_t row,
                                                                                std::string_view column, T value,
                                                                                int index = 0) {
    set(row, column, static_cast<std::uint64_t>(value), index);
  }
  void set(std::size_t row, std::string_view column, std::string_view text);

  /// The file's bytes: format 1.0, header padded to 64 bytes.
  [[nodiscard]] std::string bytes() const;

 private:
  struct Column {
    std::string name, type;
    int count = 1;
    std::size_t offset = 0, size = 0;
  };
  [[nodiscard]] const Column& column(std::string_view name) const;
  std::vector<Column> columns_;
  std::size_t row_bytes_ = 0, rows_ = 0;
  std::string data_;
};

}  // namespace frazil::io
