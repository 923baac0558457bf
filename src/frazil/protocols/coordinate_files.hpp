// Positions of one micrograph in STAR files that may hold those of many.
#pragma once

#include <string>
#include <vector>

#include "frazil/flow/protocol.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// Whether two names mean one file: one is the end of the other, folder by folder ("job002/a.mrc", "/d/job002/a.mrc").
[[nodiscard]] bool same_path(const std::string& a, const std::string& b);

/// The rows of a table of positions that belong to a micrograph: all where the table names no or only one micrograph
/// (whoever joined the two knows); else those that name `exactly`, else those of the same path as `micrograph`, else
/// those of its name. @throws Error(bad_input) where none or several micrographs of the table fit
[[nodiscard]] std::vector<std::size_t> rows_of_micrograph(const io::StarTable& table, const std::string& exactly,
                                                          const std::string& micrograph);

/// A table of positions and which of its rows are meant.
struct CoordinateRows {
  io::StarFile file;
  std::vector<std::size_t> rows;

  [[nodiscard]] const io::StarTable& table() const { return file.table_with("rlnCoordinateX"); }
};

/// The positions of a record; `micrograph` is the image they are used with, empty: the record's own.
[[nodiscard]] CoordinateRows read_coordinates(const Coordinates& coordinates, const std::string& micrograph,
                                              const flow::Context& context);

}  // namespace frazil::protocols
