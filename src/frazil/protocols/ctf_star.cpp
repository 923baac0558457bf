#include "frazil/protocols/ctf_star.hpp"

#include <cmath>
#include <type_traits>

#include "frazil/io/star_optics.hpp"

namespace frazil::protocols {
namespace {

constexpr const char* asked_column = "frazilCtfAskedDefocus";  ///< Å, underfocus positive; 0: unknown

/// Calls visit(label, value) for every number of a described record that has a STAR label of ours.
template <class T, class Visit>
void our_columns(T& record, const Visit& visit) {
  std::apply(
      [&](const auto&... f) {
        (([&] {
           using Value = typename std::remove_cvref_t<decltype(f)>::Value;
           if constexpr (std::is_same_v<Value, CtfQuality>) {
             our_columns(record.*f.member, visit);
           } else if constexpr (is_quantity<Value>::value || std::is_floating_point_v<Value> || NamedEnum<Value>) {
             if (f.star_label.starts_with("frazilCtf")) visit(f.star_label, record.*f.member);
           }
         }()),
         ...);
      },
      std::remove_cvref_t<T>::fields());
}

/// 0 for what is not a number: not every reader of STAR files knows "nan".
template <class Value>
double number_of(const Value& value) {
  double number = 0;
  if constexpr (is_quantity<Value>::value)
    number = value.value();
  else
    number = static_cast<double>(value);
  return std::isfinite(number) ? number : 0;
}

}  // namespace

io::StarTable ctf_table(std::string_view name, const std::vector<CtfFit>& fits) {
  io::StarTable table(std::string(name), {"rlnMicrographName", "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV",
                                          "rlnCtfAstigmatism", "rlnDefocusAngle", "rlnPhaseShift",
                                          "rlnCtfFigureOfMerit", "rlnCtfMaxResolution", "frazilCtfMethod"});
  const CtfFit none;
  our_columns(none, [&](std::string_view label, const auto&) { table.add_column(label); });
  table.add_column(asked_column);
  for (const auto& fit : fits) {
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", std::string_view(fit.micrograph));
    table.set(row, "rlnOpticsGroup", 1);
    table.set(row, "rlnDefocusU", fit.defocus_u.value());
    table.set(row, "rlnDefocusV", fit.defocus_v.value());
    table.set(row, "rlnCtfAstigmatism", (fit.defocus_u - fit.defocus_v).value());
    table.set(row, "rlnDefocusAngle", fit.astigmatism_angle.value());
    table.set(row, "rlnPhaseShift", fit.phase_shift.value());
    table.set(row, "rlnCtfFigureOfMerit", fit.score);
    table.set(row, "rlnCtfMaxResolution", fit.fit_resolution.value());
    table.set(row, "frazilCtfMethod", std::string_view(fit.method.empty() ? "unknown" : fit.method));
    our_columns(
        fit, [&](std::string_view label, const auto& value) { table.set(row, std::string(label), number_of(value)); });
    table.set(row, asked_column, fit.asked_defocus.value_or(0_A).value());
  }
  return table;
}

void read_ctf_row(const io::StarTable& table, std::size_t row, CtfFit& fit) {
  fit.defocus_u = Angstrom(table.number(row, "rlnDefocusU"));
  fit.defocus_v = Angstrom(table.number_or(row, "rlnDefocusV", fit.defocus_u.value()));
  fit.astigmatism_angle = Degrees(table.number_or(row, "rlnDefocusAngle", 0));
  fit.phase_shift = Degrees(table.number_or(row, "rlnPhaseShift", 0));
  fit.fit_resolution = Angstrom(table.number_or(row, "rlnCtfMaxResolution", 0));
  fit.score = table.number_or(row, "rlnCtfFigureOfMerit", 0);
  if (table.has("frazilCtfMethod")) fit.method = std::string(table.text(row, "frazilCtfMethod"));
  our_columns(fit, [&](std::string_view label, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if (table.has(label)) value = static_cast<Value>(table.number(row, label));
  });
  if (const double asked = table.number_or(row, asked_column, 0); asked != 0) fit.asked_defocus = Angstrom(asked);
}

io::StarFile ctf_file(const CtfFit& fit, const std::vector<CtfFit>& sources) {
  std::vector<io::OpticsGroup> groups;
  io::OpticsGroup group;
  group.optics = fit.optics;
  group.micrograph_pixel_size = fit.pixel_size;
  io::add_group(groups, group);
  io::StarFile file;
  file.add(io::optics_table(groups));
  file.add(ctf_table("micrographs", {fit}));
  if (!sources.empty()) file.add(ctf_table("estimates", sources));
  return file;
}

}  // namespace frazil::protocols
