// Reading STAR: a tokeniser over the whole text (star.hpp).
#include <algorithm>
#include <cstring>
#include <set>

#include "frazil/base/error.hpp"
#include "frazil/io/star.hpp"

namespace frazil::io {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

bool starts_with_keyword(std::string_view token, std::string_view keyword) {
  if (token.size() < keyword.size()) return false;
  return std::equal(keyword.begin(), keyword.end(), token.begin(),
                    [](char k, char t) { return k == (t >= 'A' && t <= 'Z' ? t - 'A' + 'a' : t); });
}

struct Token {
  std::string_view text;
  bool quoted = false;
};

class StarParser {
 public:
  StarParser(std::string_view text, StarFile& file) : rest_(text), file_(file) {}

  void parse() {
    while (next_line()) {
      if (tokens_.empty()) continue;
      const auto& first = tokens_.front();
      if (!first.quoted && starts_with_keyword(first.text, "data_")) {
        start_table(first.text.substr(5));
      } else if (!first.quoted && starts_with_keyword(first.text, "loop_") && first.text.size() == 5) {
        start_loop();
      } else if (!first.quoted && first.text.front() == '_') {
        label_line();
      } else {
        row_line();
      }
    }
    check_last_loop();
  }

 private:
  enum class State { nothing, block, loop_labels, loop_rows };

  [[noreturn]] void fail(std::string_view what, ErrorCode code = ErrorCode::corrupt) const {
    throw Error(code, "{} line {}: {}", file_.source, line_, what);
  }

  bool next_line() {
    if (rest_.empty()) return false;
    const auto* end = static_cast<const char*>(std::memchr(rest_.data(), '\n', rest_.size()));
    const auto size = end != nullptr ? static_cast<std::size_t>(end - rest_.data()) : rest_.size();
    const auto line = rest_.substr(0, size);
    rest_.remove_prefix(end != nullptr ? size + 1 : size);
    ++line_;
    if (!line.empty() && line.front() == ';') fail("text over several lines (;) is not read", ErrorCode::unsupported);
    split(line);
    return true;
  }

  void split(std::string_view line) {
    tokens_.clear();
    std::size_t at = 0;
    while (true) {
      while (at < line.size() && is_space(line[at])) ++at;
      if (at == line.size() || line[at] == '#') return;
      if (line[at] == '"' || line[at] == '\'') {
        const auto end = closing_quote(line, at);
        tokens_.push_back({line.substr(at + 1, end - at - 1), true});
        at = end + 1;
      } else {
        const auto start = at;
        while (at < line.size() && !is_space(line[at])) ++at;
        tokens_.push_back({line.substr(start, at - start), false});
      }
    }
  }

  /// A quote closes only before a space or the end of the line, so that 'it's' is one value.
  std::size_t closing_quote(std::string_view line, std::size_t open) const {
    for (std::size_t i = open + 1; i < line.size(); ++i)
      if (line[i] == line[open] && (i + 1 == line.size() || is_space(line[i + 1]))) return i;
    fail("a quoted value does not end");
  }

  StarTable& table() { return file_.tables.back(); }

  void start_table(std::string_view name) {
    check_last_loop();
    if (tokens_.size() != 1) fail("more than a name follows data_");
    if (!names_.emplace(name).second)  // the rows of the second would be lost in silence
      fail(fmt::format("the block data_{} comes twice", name));
    file_.tables.emplace_back(std::string(name));
    table().is_loop = false;
    table().set_source(file_.source);
    state_ = State::block;
  }

  void start_loop() {
    if (state_ == State::nothing) fail("loop_ stands before any data_");
    if (state_ != State::block || table().columns() > 0)
      fail("a second table in one data_ block is not read", ErrorCode::unsupported);
    if (tokens_.size() != 1) fail("loop_ does not stand alone");
    table().is_loop = true;
    state_ = State::loop_labels;
  }

  void label_line() {
    if (state_ == State::nothing) fail("a label stands before any data_");
    const auto label = tokens_.front().text.substr(1);
    if (label.empty()) fail("a label has no name");
    if (state_ == State::loop_rows) fail("a label stands among the rows of a loop");
    if (table().columns() > 4095) fail("a table has more than 4096 columns");
    if (table().has(label)) fail(fmt::format("column {} comes twice", label));
    if (state_ == State::loop_labels) {
      if (tokens_.size() > 1) fail(fmt::format("a value follows the label {} of a loop", label));
      table().add_column(label);
    } else {
      if (tokens_.size() != 2) fail(fmt::format("label {} has {} values, one is expected", label, tokens_.size() - 1));
      add_pair(label, tokens_[1].text);
    }
  }

  /// A block of pairs is a table of one row; it grows by columns.
  void add_pair(std::string_view label, std::string_view value) {
    auto& t = table();
    if (t.columns() == 0) {
      t.add_column(label);
      t.append_row(std::span(&value, 1), line_);
    } else {
      t.add_column(label, value);
    }
  }

  void row_line() {
    if (state_ == State::nothing) fail("something stands before the first data_");
    if (state_ == State::block) fail("a value stands without a label");
    auto& t = table();
    if (t.columns() == 0) fail("a row stands in a loop without columns");
    state_ = State::loop_rows;
    if (tokens_.size() != static_cast<std::size_t>(t.columns()))
      fail(fmt::format("{} values, table data_{} has {} columns", tokens_.size(), t.name, t.columns()));
    cells_.clear();
    for (const auto& token : tokens_) cells_.push_back(token.text);
    t.append_row(cells_, line_);
  }

  void check_last_loop() {
    if (state_ == State::loop_labels && table().columns() == 0)
      fail(fmt::format("the loop of data_{} has no columns", table().name));
  }

  std::string_view rest_;
  StarFile& file_;
  std::uint32_t line_ = 0;
  State state_ = State::nothing;
  std::set<std::string, std::less<>> names_;
  std::vector<Token> tokens_;
  std::vector<std::string_view> cells_;
};

}  // namespace

StarFile parse_star(std::string_view text, const std::string& name) {
  StarFile file;
  file.source = name;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.find('\0') != std::string_view::npos)
    throw Error(ErrorCode::corrupt, "{}: not a STAR file, it holds binary data", name);
  StarParser(text, file).parse();
  if (file.tables.empty()) throw Error(ErrorCode::corrupt, "{}: no data_ block in the file", name);
  return file;
}

StarFile read_star(const ByteSource& source) {
  std::string text(static_cast<std::size_t>(source.size()), '\0');
  source.read(0, std::as_writable_bytes(std::span(text)));
  return parse_star(text, source.name());
}

StarFile read_star(const std::filesystem::path& path) { return read_star(ByteSource::open(path)); }

}  // namespace frazil::io
