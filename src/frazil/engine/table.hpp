// Columns of a step by name, conditions on them, and rows in the order of one of them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "frazil/engine/pages.hpp"

namespace frazil::engine {

/// A column as it is asked for: numbers or texts by subject.
struct NamedColumn {
  std::string name;
  std::function<double(int subject)> number;     ///< not a number where there is none
  std::function<std::string(int subject)> text;  ///< set instead of `number`
};

class Table {
 public:
  /// @throws Error(bad_input) if there is no such step or port
  Table(const State& state, std::string_view step, std::string_view port);

  /// @throws Error(bad_input) naming the columns there are
  [[nodiscard]] NamedColumn column(const std::string& name) const;
  /// Names of all numbers of the set, or of the step's first output.
  [[nodiscard]] std::vector<std::string> numbers() const;
  /// Subjects that are wanted, sorted. @throws Error(bad_input)
  [[nodiscard]] std::vector<int> rows(const std::vector<std::string>& where) const;
  /// The same by a column; only the first `most` are in their places.
  void sort(std::vector<int>& rows, const std::string& by, std::size_t most) const;

  [[nodiscard]] int step() const { return step_; }
  /// Item of a subject in the set, or in the first of the step's sets that has one; 0: none.
  [[nodiscard]] std::int64_t item(int subject) const;
  /// accepted, set aside, held, or empty.
  [[nodiscard]] std::string verdict(int subject) const;
  [[nodiscard]] std::string actor(int subject) const;
  [[nodiscard]] std::string rule(int subject) const;
  [[nodiscard]] std::string state_name(int subject) const;

 private:
  [[nodiscard]] bool has(int subject) const;
  [[nodiscard]] int port_of(int subject) const;
  [[nodiscard]] std::function<bool(int)> condition(const std::string& text) const;
  [[nodiscard]] NamedColumn own_column(const std::string& name) const;

  const State& state_;
  int step_, port_;  ///< port −1: all
};

[[nodiscard]] std::string_view name_of(CellState state);

}  // namespace frazil::engine
