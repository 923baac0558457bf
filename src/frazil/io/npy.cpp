#include "frazil/io/npy.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "frazil/base/error.hpp"

namespace frazil::io {

void NpyTable::add_column(const std::string& name, const std::string& type, int count) {
  expect(rows_ == 0, "columns come before rows");
  expect(type.size() >= 3, "a NumPy type");
  std::size_t size = 0;
  std::from_chars(type.data() + 2, type.data() + type.size(), size);
  expect(size > 0, "a NumPy type has a size");
  columns_.push_back({name, type, count, row_bytes_, size});
  row_bytes_ += size * static_cast<std::size_t>(count);
}

std::size_t NpyTable::add_row() {
  data_.resize(data_.size() + row_bytes_, '\0');
  return rows_++;
}

const NpyTable::Column& NpyTable::column(std::string_view name) const {
  const auto found = std::find_if(columns_.begin(), columns_.end(), [&](const Column& c) { return c.name == name; });
  expect(found != columns_.end(), "the column exists");
  return *found;
}

void NpyTable::set(std::size_t row, std::string_view name, double value, int index) {
  const auto& to = column(name);
  expect(to.type == "<f4" && index < to.count, "a column of floats");
  const auto single = static_cast<float>(value);
  std::memcpy(data_.data() + row * row_bytes_ + to.offset + 4 * static_cast<std::size_t>(index), &single, 4);
}

void NpyTable::set(std::size_t row, std::string_view name, std::uint64_t value, int index) {
  const auto& to = column(name);
  expect(to.type[1] == 'u' && index < to.count, "a column of whole numbers");
  std::memcpy(data_.data() + row * row_bytes_ + to.offset + to.size * static_cast<std::size_t>(index), &value,
              to.size);  // little endian
}

void NpyTable::set(std::size_t row, std::string_view name, std::string_view text) {
  const auto& to = column(name);
  expect(to.type[1] == 'S', "a column of texts");
  if (text.size() > to.size)
    throw Error(ErrorCode::bad_input, "{}: \"{}\" is longer than the {} bytes of its column", name, text, to.size);
  std::memcpy(data_.data() + row * row_bytes_ + to.offset, text.data(), text.size());
}

std::string NpyTable::bytes() const {
  std::string header = "{'descr': [";
  for (const auto& c : columns_)
    header +=
        "('" + c.name + "', '" + c.type + "'" + (c.count > 1 ? ", (" + std::to_string(c.count) + ",)" : "") + "), ";
  header += "], 'fortran_order': False, 'shape': (" + std::to_string(rows_) + ",), }";
  const std::size_t used = 10 + header.size() + 1;
  header.append((64 - used % 64) % 64, ' ');
  header += '\n';
  if (header.size() > 65535)
    throw Error(ErrorCode::unsupported, "a .npy header of {} bytes: format 1.0 holds 65,535", header.size());
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  return file + header + data_;
}

}  // namespace frazil::io
