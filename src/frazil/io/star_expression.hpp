// Conditions on the columns of a STAR table: "rlnDefocusU < 20000 && (rlnClassNumber == 3 || !(rlnX > 1))".
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <string_view>

#include "frazil/io/star.hpp"

namespace frazil::io {

/// Numbers, columns, + - * /, < <= > >= == !=, && || !, parentheses; true is 1. Compiled for one table.
class StarExpression {
 public:
  /// @throws Error(bad_input) naming what is wrong and at which character, or the column that the table lacks
  StarExpression(std::string_view text, const StarTable& table);
  ~StarExpression();
  StarExpression(StarExpression&&) noexcept;
  StarExpression& operator=(StarExpression&&) noexcept;
  /// NaN where it hangs on a value that is not finite. @throws Error(corrupt) when a cell that it reads is no number
  [[nodiscard]] double value(std::size_t row) const;
  /// False where it is not known.
  [[nodiscard]] bool holds(std::size_t row) const {
    const double found = value(row);
    return std::isfinite(found) && found != 0;
  }

  struct Node;

 private:
  const StarTable* table_;
  std::unique_ptr<Node> root_;
};

}  // namespace frazil::io
