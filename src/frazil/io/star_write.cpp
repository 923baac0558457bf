// Writing STAR as RELION 3.1 does (star.hpp).
#include <algorithm>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/star.hpp"

namespace frazil::io {
namespace {

bool starts_like_keyword(std::string_view value) {
  return value.starts_with("data_") || value.starts_with("loop_") || value.starts_with("save_") ||
         value.starts_with("global_") || value.starts_with("stop_");
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  if (value.find_first_of(" \t\v\f\r") != std::string_view::npos) return true;
  const char first = value.front();
  return first == '"' || first == '\'' || first == '#' || first == '_' || first == ';' || starts_like_keyword(value);
}

/// Quoted only where it must be: RELION 3.1 takes quotes for part of the value.
std::string written(std::string_view value) {
  if (value.find('\n') != std::string_view::npos)
    throw Error(ErrorCode::bad_input, "a STAR value cannot hold a line break: \"{}\"", value.substr(0, 40));
  if (!needs_quotes(value)) return std::string(value);
  const char quote = value.find('"') == std::string_view::npos ? '"' : '\'';
  if (quote == '\'' && value.find('\'') != std::string_view::npos)
    throw Error(ErrorCode::bad_input, "a STAR value cannot hold spaces and both kinds of quotes: {}",
                value.substr(0, 40));
  return fmt::format("{}{}{}", quote, value, quote);
}

constexpr const char* block_tail = " \n";
std::string block_head(const std::string& name) { return fmt::format("\n# version 30001\n\ndata_{}\n\n", name); }

void append_pairs(const StarTable& table, std::string& out) {
  std::size_t width = 0;
  for (const auto& label : table.labels()) width = std::max(width, label.size());
  for (int c = 0; c < table.columns(); ++c) {
    const auto& label = table.labels()[static_cast<std::size_t>(c)];
    out += fmt::format("_{:<{}} {}\n", label, width, written(table.text(0, c)));
  }
}

}  // namespace

StarLoop::StarLoop(const StarTable& first)
    : name_(first.name), labels_(first.labels()), widths_(first.labels().size(), 0) {
  for (std::size_t row = 0; row < std::min<std::size_t>(first.rows(), 100); ++row)
    for (std::size_t c = 0; c < widths_.size(); ++c)
      widths_[c] = std::max(widths_[c], std::min<std::size_t>(first.text(row, static_cast<int>(c)).size(), 12));
}

std::string StarLoop::head() const {
  auto out = block_head(name_) + "loop_ \n";
  for (std::size_t c = 0; c < labels_.size(); ++c) out += fmt::format("_{} #{} \n", labels_[c], c + 1);
  return out;
}

std::string StarLoop::basis() const { return fmt::format("{} {}", fmt::join(labels_, " "), fmt::join(widths_, " ")); }

std::string StarLoop::tail() { return block_tail; }

void StarLoop::append(const StarTable& rows, std::string& out) const {
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (std::size_t c = 0; c < widths_.size(); ++c) {
      const auto value = written(rows.text(row, static_cast<int>(c)));
      if (value.size() < widths_[c]) out.append(widths_[c] - value.size(), ' ');
      out += value;
      out += ' ';
    }
    out += '\n';
  }
}

std::string format_star(const StarFile& file) {
  std::string out;
  for (const auto& table : file.tables) {
    if (table.is_loop) {
      const StarLoop loop(table);
      out += loop.head();
      loop.append(table, out);
    } else {
      out += block_head(table.name);
      if (table.rows() > 0) append_pairs(table, out);
    }
    out += block_tail;
  }
  return out;
}

void write_star(const std::filesystem::path& path, const StarFile& file) { write_text(path, format_star(file)); }

}  // namespace frazil::io
