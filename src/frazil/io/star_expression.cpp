#include "frazil/io/star_expression.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "frazil/base/error.hpp"

namespace frazil::io {

struct StarExpression::Node {
  enum class Kind { number, column, op } kind = Kind::number;
  double number = 0;
  int column = 0;
  std::string_view op = {};  ///< of a literal table below
  std::unique_ptr<Node> left, right;
};

namespace {

using Node = StarExpression::Node;

/// Operators from the loosest to the tightest binding; longer ones first within a level.
constexpr std::array<std::array<std::string_view, 6>, 5> levels = {
    {{"||"}, {"&&"}, {"<=", ">=", "==", "!=", "<", ">"}, {"+", "-"}, {"*", "/"}}};
constexpr int deepest_parentheses = 200;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, const StarTable& table) : text_(text), table_(table) {}

  std::unique_ptr<Node> parse() {
    auto root = level(0);
    skip();
    if (at_ < text_.size()) fail("an operator or the end");
    return root;
  }

 private:
  [[noreturn]] void fail(std::string_view wanted) const {
    throw Error(ErrorCode::bad_input, "\"{}\": expected {} at character {}, found \"{}\"", text_, wanted, at_ + 1,
                at_ < text_.size() ? text_.substr(at_, 12) : "the end");
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  std::unique_ptr<Node> level(std::size_t n) {
    if (n == levels.size()) return operand();
    auto left = level(n + 1);
    while (true) {
      skip();
      const auto found = std::find_if(levels[n].begin(), levels[n].end(), [&](std::string_view op) {
        return !op.empty() && text_.substr(at_).starts_with(op);
      });
      if (found == levels[n].end()) return left;
      at_ += found->size();
      auto node = std::make_unique<Node>();
      node->kind = Node::Kind::op;
      node->op = *found;
      node->left = std::move(left);
      node->right = level(n + 1);
      left = std::move(node);
      if (++nodes_ > 5000) throw Error(ErrorCode::bad_input, "the expression is too long");
    }
  }

  std::unique_ptr<Node> operand() {
    skip();
    if (++depth_ > deepest_parentheses) throw Error(ErrorCode::bad_input, "the expression has too many parentheses");
    auto node = std::make_unique<Node>();
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '(') {
      ++at_;
      node = level(0);
      skip();
      if (at_ >= text_.size() || text_[at_] != ')') fail("\")\"");
      ++at_;
    } else if (c == '!' || c == '-') {
      ++at_;
      node->kind = Node::Kind::op;
      node->op = c == '!' ? "!" : "neg";
      node->left = operand();
    } else if (is_digit(c) || c == '.') {
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), node->number);
      if (error != std::errc()) fail("a number");
      at_ = static_cast<std::size_t>(end - text_.data());
    } else if (is_letter(c)) {
      const auto start = at_;
      while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
      node->kind = Node::Kind::column;
      node->column = table_.column(text_.substr(start, at_ - start));
    } else {
      fail("a number, a column, \"(\", \"!\" or \"-\"");
    }
    --depth_;
    return node;
  }

  std::string_view text_;
  const StarTable& table_;
  std::size_t at_ = 0;
  int depth_ = 0, nodes_ = 0;
};

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// A value that is not finite is unknown, and so is what depends on it: no negation makes it true.
double evaluate(const Node& node, const StarTable& table, std::size_t row) {
  if (node.kind == Node::Kind::number) return node.number;
  if (node.kind == Node::Kind::column) return table.number(row, node.column);
  const double a = evaluate(*node.left, table, row);
  const bool is_known = std::isfinite(a);
  if (node.op == "!") return is_known ? (a == 0 ? 1 : 0) : unknown;
  if (node.op == "neg") return -a;
  if (node.op == "&&" && a == 0) return 0;
  if (node.op == "||" && is_known && a != 0) return 1;
  const double b = evaluate(*node.right, table, row);
  if (node.op == "&&" && b == 0) return 0;
  if (node.op == "||" && std::isfinite(b) && b != 0) return 1;
  if (!is_known || !std::isfinite(b)) return unknown;
  if (node.op == "&&" || node.op == "||") return b != 0 ? 1 : 0;
  if (node.op == "<") return a < b;
  if (node.op == "<=") return a <= b;
  if (node.op == ">") return a > b;
  if (node.op == ">=") return a >= b;
  if (node.op == "==") return a == b;
  if (node.op == "!=") return a != b;
  if (node.op == "+") return a + b;
  if (node.op == "-") return a - b;
  if (node.op == "*") return a * b;
  return a / b;
}

}  // namespace

StarExpression::StarExpression(std::string_view text, const StarTable& table)
    : table_(&table), root_(ExpressionParser(text, table).parse()) {}
StarExpression::~StarExpression() = default;
StarExpression::StarExpression(StarExpression&&) noexcept = default;
StarExpression& StarExpression::operator=(StarExpression&&) noexcept = default;

double StarExpression::value(std::size_t row) const { return evaluate(*root_, *table_, row); }

}  // namespace frazil::io
