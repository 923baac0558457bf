// The table of a set as text in pieces: whoever writes it keeps what stands already, adds what has come, and never
// holds the whole.
//
// A table is a head, the rows of one record after another, and a tail. Rows follow from their record and the layout;
// the layout follows from what records have in common (their parts) and from the first of them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frazil/params/json.hpp"

namespace frazil::flow {

/// How one table is laid out.
class TableLayout {
 public:
  virtual ~TableLayout() = default;
  [[nodiscard]] virtual std::string head() const = 0;
  [[nodiscard]] virtual std::string tail() const = 0;
  [[nodiscard]] virtual std::string rows(const Json& record) const = 0;
  /// All that the rows of a record with this part hang on beside the record: where it is equal, so are they.
  [[nodiscard]] virtual std::string basis(const std::string& part) const = 0;
};

/// How the tables of sets of one kind are laid out. Of one set; remembers what its records were.
class TableFormat {
 public:
  using NextRecord = std::function<std::optional<Json>()>;

  virtual ~TableFormat() = default;
  /// What the layout takes from this record: most records of a set have the same. @throws Error as reading its files
  [[nodiscard]] virtual std::string part(const Json& record) = 0;
  /// @param parts  those of all records, each once, in the order in which they come first
  /// @param next   the records one after another, for as many as are needed; none: there are no more
  /// @throws Error(bad_input) for records that cannot stand in one table
  [[nodiscard]] virtual std::unique_ptr<TableLayout> layout(const std::vector<std::string>& parts,
                                                            const NextRecord& next) = 0;
};

/// The whole table of these records at once.
[[nodiscard]] std::string whole_table(TableFormat& format, const std::vector<Json>& records);

}  // namespace frazil::flow
