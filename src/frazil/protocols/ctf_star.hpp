// CTF fits as STAR rows: RELION's columns, and ours beside them.
#pragma once

#include <vector>

#include "frazil/io/star.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// Table with one row a fit, without optics groups (the caller sets rlnOpticsGroup). Columns that RELION does not know
/// begin with `frazilCtf`.
[[nodiscard]] io::StarTable ctf_table(std::string_view name, const std::vector<CtfFit>& fits);

/// Fills what a row says; labels that are not there leave the fit as it is.
void read_ctf_row(const io::StarTable& table, std::size_t row, CtfFit& fit);

/// data_optics and the table `micrographs`; a second table `estimates` when `sources` are given. All share the optics
/// of the first fit.
[[nodiscard]] io::StarFile ctf_file(const CtfFit& fit, const std::vector<CtfFit>& sources = {});

}  // namespace frazil::protocols
