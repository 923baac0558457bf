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

void append_loop(const StarTable& table, std::string& out) {
  out += "loop_ \n";
  for (int c = 0; c < table.columns(); ++c)
    out += fmt::format("_{} #{} \n", table.labels()[static_cast<std::size_t>(c)], c + 1);
  std::vector<std::size_t> width(static_cast<std::size_t>(table.columns()), 0);
  for (std::size_t row = 0; row < std::min<std::size_t>(table.rows(), 100); ++row)
    for (int c = 0; c < table.columns(); ++c)
      width[static_cast<std::size_t>(c)] =
          std::max(width[static_cast<std::size_t>(c)], std::min<std::size_t>(table.text(row, c).size(), 12));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (int c = 0; c < table.columns(); ++c) {
      const auto value = written(table.text(row, c));
      if (const auto w = width[static_cast<std::size_t>(c)]; value.size() < w) out.append(w - value.size(), ' ');
      out += value;
      out += ' ';
    }
    out += '\n';
  }
}

void append_pairs(const StarTable& table, std::string& out) {
  std::size_t width = 0;
  for (const auto& label : table.labels()) width = std::max(width, label.size());
  for (int c = 0; c < table.columns(); ++c) {
    const auto& label = table.labels()[static_cast<std::size_t>(c)];
    out += fmt::format("_{:<{}} {}\n", label, width, written(table.text(0, c)));
  }
}

}  // namespace

std::string format_star(const StarFile& file) {
  std::string out;
  for (const auto& table : file.tables) {
    out += fmt::format("\n# version 30001\n\ndata_{}\n\n", table.name);
    if (table.is_loop) {
      append_loop(table, out);
    } else if (table.rows() > 0) {
      append_pairs(table, out);
    }
    out += " \n";
  }
  return out;
}

void write_star(const std::filesystem::path& path, const StarFile& file) { write_text(path, format_star(file)); }

}  // namespace frazil::io
