#include "frazil/io/star_optics.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

/// The image size in a table may be missing or 0.
int size_or_zero(const StarTable& table, std::size_t row) {
  const auto column = table.find_column("rlnImageSize");
  if (!column) return 0;
  const long size = table.integer(row, *column);
  if (size < 0 || size > (1 << 20)) throw Error(ErrorCode::corrupt, "{}: rlnImageSize is {}", table.place(row), size);
  return static_cast<int>(size);
}

constexpr std::array magnification_labels{"rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11"};
const std::vector<double> unit_magnification{1, 0, 0, 1};

/// A number that fills a field of Optics, within the range of that field.
double for_optics(const StarTable& table, std::size_t row, std::string_view label, double value) {
  const auto check = [&](const auto& field) {
    if (field.star_label == label && field.low && !(value >= *field.low && value <= *field.high))
      throw Error(ErrorCode::bad_input, "{}: {} must lie in {:g} to {:g}, not {}", table.place(row), label, *field.low,
                  *field.high, value);
  };
  std::apply([&](const auto&... field) { (check(field), ...); }, fields_of<Optics>);
  return value;
}

/// 0: not known. The limits are those of Micrograph::pixel_size.
double pixel_size_or_zero(const StarTable& table, std::size_t row, std::string_view label, double value) {
  if (value != 0 && !(value >= 0.05 && value <= 100))
    throw Error(ErrorCode::bad_input, "{}: {} must lie in 0.05 to 100 Å, not {}", table.place(row), label, value);
  return value;
}

double labelled_pixel_size(const StarTable& table, std::size_t row, std::string_view label) {
  return pixel_size_or_zero(table, row, label, table.number_or(row, label, 0));
}

Optics optics_of(const StarTable& table, std::size_t row) {
  const auto number = [&](std::string_view label, double value) { return for_optics(table, row, label, value); };
  Optics optics{Kilovolt(number("rlnVoltage", table.number(row, "rlnVoltage"))),
                Millimetre(number("rlnSphericalAberration", table.number_or(row, "rlnSphericalAberration", 2.7))),
                number("rlnAmplitudeContrast", table.number_or(row, "rlnAmplitudeContrast", 0.1))};
  std::vector<double> matrix;
  for (const auto* label : magnification_labels)
    if (const auto column = table.find_column(label)) matrix.push_back(table.number(row, *column));
  if (const auto problems = check_magnification(matrix); !problems.empty())
    throw Error(ErrorCode::corrupt, "{}: {}", table.place(row), problems.front());
  if (matrix != unit_magnification) optics.magnification = matrix;
  return optics;
}

/// Columns of data_optics that we read, or derive from what we read.
constexpr std::array<std::string_view, 14> known_labels{"rlnOpticsGroup",
                                                        "rlnOpticsGroupName",
                                                        "rlnVoltage",
                                                        "rlnSphericalAberration",
                                                        "rlnAmplitudeContrast",
                                                        "rlnImagePixelSize",
                                                        "rlnMicrographPixelSize",
                                                        "rlnMicrographOriginalPixelSize",
                                                        "rlnImageSize",
                                                        "rlnImageDimensionality",
                                                        "rlnMagMat00",
                                                        "rlnMagMat01",
                                                        "rlnMagMat10",
                                                        "rlnMagMat11"};

std::vector<std::array<std::string, 2>> further_of(const StarTable& table, std::size_t row) {
  std::vector<std::array<std::string, 2>> further;
  for (int column = 0; column < table.columns(); ++column)
    if (const auto& label = table.labels()[static_cast<std::size_t>(column)];
        std::find(known_labels.begin(), known_labels.end(), label) == known_labels.end())
      further.push_back({label, std::string(table.text(row, column))});
  return further;
}

/// What RELION takes for a column of data_optics that is absent, told from the values that others have.
std::string_view absent(std::string_view label, std::string_view like) {
  if (label.ends_with("Name") || label.ends_with("File")) return "None";
  return like.starts_with('[') ? "[]" : "0";
}

OpticsGroup group_of(const StarTable& table, std::size_t row) {
  OpticsGroup g;
  g.optics = optics_of(table, row);
  g.image_pixel_size = Angstrom(labelled_pixel_size(table, row, "rlnImagePixelSize"));
  g.micrograph_pixel_size = Angstrom(labelled_pixel_size(table, row, "rlnMicrographPixelSize"));
  g.original_pixel_size = Angstrom(labelled_pixel_size(table, row, "rlnMicrographOriginalPixelSize"));
  g.image_size = size_or_zero(table, row);
  return g;
}

/// RELION 3.0: the detector's pixel in µm over the magnification; older still, rlnPixelSize in Å.
Angstrom pixel_size_30(const StarTable& table, std::size_t row) {
  const double detector_um = table.number_or(row, "rlnDetectorPixelSize", 0),
               magnification = table.number_or(row, "rlnMagnification", 0);
  const double size = detector_um > 0 && magnification > 0 ? detector_um * 1e4 / magnification
                                                           : table.number_or(row, "rlnPixelSize", 0);
  return Angstrom(pixel_size_or_zero(table, row, "the pixel size", size));
}

/// Written where a group lacks a column that others have, and so as good as missing.
bool says_nothing(std::string_view text) {
  if (text == "None" || text == "[]") return true;
  return !text.empty() && text.find_first_not_of("0.+-") == std::string_view::npos;
}

/// Whether all that the further columns of `a` say stands in `b` too.
bool holds_further(const Optics& a, const Optics& b) {
  return std::all_of(a.further.begin(), a.further.end(), [&](const auto& column) {
    return says_nothing(column[1]) || std::find(b.further.begin(), b.further.end(), column) != b.further.end();
  });
}

/// Equal in all but the name.
bool same_values(const OpticsGroup& a, const OpticsGroup& b) {
  return a.optics.voltage == b.optics.voltage && a.optics.cs == b.optics.cs &&
         a.optics.amplitude_contrast == b.optics.amplitude_contrast &&
         a.optics.magnification == b.optics.magnification && a.image_pixel_size == b.image_pixel_size &&
         a.micrograph_pixel_size == b.micrograph_pixel_size && a.original_pixel_size == b.original_pixel_size &&
         a.image_size == b.image_size && holds_further(a.optics, b.optics) && holds_further(b.optics, a.optics);
}

bool same(const OpticsGroup& a, const OpticsGroup& b) {
  return a.optics.optics_group == b.optics.optics_group && same_values(a, b);
}

bool unnamed(const OpticsGroup& g) { return g.optics.optics_group.empty() || is_numbered_group(g.optics.optics_group); }

/// Equal in all but the name, and the names are equal or say nothing.
bool alike(const OpticsGroup& a, const OpticsGroup& b) {
  if (a.optics.optics_group != b.optics.optics_group && !(unnamed(a) && unnamed(b))) return false;
  return same_values(a, b);
}

bool is_taken(const std::vector<OpticsGroup>& groups, std::string_view name) {
  return std::any_of(groups.begin(), groups.end(), [&](const OpticsGroup& g) { return g.name == name; });
}

int append_group(std::vector<OpticsGroup>& groups, OpticsGroup wanted) {
  wanted.id = static_cast<int>(groups.size()) + 1;
  const auto& given = wanted.optics.optics_group;
  wanted.name = given.empty() ? fmt::format("opticsGroup{}", wanted.id) : given;
  for (int number = wanted.id; is_taken(groups, wanted.name); ++number)
    wanted.name = unnamed(wanted) ? fmt::format("opticsGroup{}", number) : fmt::format("{}_{}", given, number);
  groups.push_back(std::move(wanted));
  return groups.back().id;
}

OpticsGroups groups_of_rows(const StarTable& table) {
  OpticsGroups found;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    auto g = group_of(table, row);
    if (!(g.image_pixel_size > 0_A)) g.image_pixel_size = pixel_size_30(table, row);
    std::size_t i = 0;
    while (i < found.groups.size() && !same(found.groups[i], g)) ++i;
    if (i == found.groups.size()) {
      if (i >= 1000)
        throw Error(ErrorCode::corrupt, "{}: the rows before it have a thousand different optics", table.place(row));
      add_group(found.groups, g);
    }
    found.group_of_row.push_back(static_cast<int>(i));
  }
  return found;
}

}  // namespace

Angstrom OpticsGroup::pixel_size() const {
  for (const auto size : {image_pixel_size, micrograph_pixel_size, original_pixel_size})
    if (size > 0_A) return size;
  return 0_A;
}

bool is_numbered_group(std::string_view name) {
  constexpr std::string_view start = "opticsGroup";
  return name.starts_with(start) && name.find_first_not_of("0123456789", start.size()) == std::string_view::npos;
}

int add_group(std::vector<OpticsGroup>& groups, OpticsGroup wanted) {
  const auto found = std::find_if(groups.begin(), groups.end(), [&](const OpticsGroup& g) { return same(g, wanted); });
  return found != groups.end() ? found->id : append_group(groups, std::move(wanted));
}

std::vector<int> merge_groups(std::vector<OpticsGroup>& groups, const std::vector<OpticsGroup>& of_table) {
  std::vector<int> numbers(of_table.size(), 0);
  const auto free = [&](const OpticsGroup& g) {
    return std::find(numbers.begin(), numbers.end(), g.id) == numbers.end();
  };
  // Those that keep their name choose first.
  for (std::size_t i = 0; i < of_table.size(); ++i)
    for (const auto& g : groups)
      if (numbers[i] == 0 && same(g, of_table[i]) && free(g)) numbers[i] = g.id;
  for (std::size_t i = 0; i < of_table.size(); ++i)
    for (const auto& g : groups)
      if (numbers[i] == 0 && alike(g, of_table[i]) && free(g)) numbers[i] = g.id;
  for (std::size_t i = 0; i < of_table.size(); ++i)
    if (numbers[i] == 0) numbers[i] = append_group(groups, of_table[i]);
  return numbers;
}

StarTable optics_table(std::span<const OpticsGroup> groups) {
  struct Optional {
    const char* label;
    double (*value)(const OpticsGroup&);
  };
  static constexpr std::array<Optional, 4> optional{
      {{"rlnMicrographOriginalPixelSize", [](const OpticsGroup& g) { return g.original_pixel_size.value(); }},
       {"rlnMicrographPixelSize", [](const OpticsGroup& g) { return g.micrograph_pixel_size.value(); }},
       {"rlnImagePixelSize", [](const OpticsGroup& g) { return g.image_pixel_size.value(); }},
       {"rlnImageSize", [](const OpticsGroup& g) { return static_cast<double>(g.image_size); }}}};
  StarTable table("optics", {"rlnOpticsGroupName", "rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration",
                             "rlnAmplitudeContrast"});
  for (const auto& column : optional)
    for (const auto& g : groups)
      if (column.value(g) > 0) table.add_column(column.label);
  if (table.has("rlnImageSize")) table.add_column("rlnImageDimensionality");
  if (std::any_of(groups.begin(), groups.end(), [](const OpticsGroup& g) { return !g.optics.magnification.empty(); }))
    for (const auto* label : magnification_labels) table.add_column(label);
  std::vector<std::array<std::string, 2>> further;  // each label with the first value that it has
  for (const auto& g : groups)
    for (const auto& column : g.optics.further)
      if (std::none_of(further.begin(), further.end(), [&](const auto& known) { return known[0] == column[0]; }))
        further.push_back(column);
  for (const auto& [label, like] : further) table.add_column(label);
  for (const auto& g : groups) {
    const auto row = table.add_row();
    table.set(row, "rlnOpticsGroupName", g.name);
    table.set(row, "rlnOpticsGroup", g.id);
    table.set(row, "rlnVoltage", g.optics.voltage.value());
    table.set(row, "rlnSphericalAberration", g.optics.cs.value());
    table.set(row, "rlnAmplitudeContrast", g.optics.amplitude_contrast);
    for (const auto& column : optional)
      if (table.has(column.label)) table.set(row, column.label, column.value(g));
    if (table.has("rlnImageDimensionality")) table.set(row, "rlnImageDimensionality", 2);
    const auto& matrix = g.optics.magnification.empty() ? unit_magnification : g.optics.magnification;
    for (std::size_t i = 0; i < 4 && table.has(magnification_labels[0]); ++i)
      table.set(row, magnification_labels[i], matrix.at(i));
    for (const auto& [label, like] : further) table.set(row, label, absent(label, like));
    for (const auto& [label, text] : g.optics.further) table.set(row, label, std::string_view(text));
  }
  return table;
}

std::vector<OpticsGroup> parse_optics(const StarTable& table) {
  std::vector<OpticsGroup> groups;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    auto g = group_of(table, row);
    g.id = table.has("rlnOpticsGroup") ? static_cast<int>(table.integer(row, "rlnOpticsGroup"))
                                       : static_cast<int>(row) + 1;
    if (std::any_of(groups.begin(), groups.end(), [&](const OpticsGroup& other) { return other.id == g.id; }))
      throw Error(ErrorCode::corrupt, "{}: optics group {} comes twice", table.place(row), g.id);
    g.name = table.has("rlnOpticsGroupName") ? std::string(table.text(row, "rlnOpticsGroupName"))
                                             : fmt::format("opticsGroup{}", g.id);
    g.optics.further = further_of(table, row);
    // A number is no name, unless it tells groups apart.
    if (table.rows() > 1 || !is_numbered_group(g.name)) g.optics.optics_group = g.name;
    groups.push_back(std::move(g));
  }
  return groups;
}

OpticsGroups read_optics(const StarFile& file, const StarTable& table) {
  const auto* optics = file.find_table("optics");
  if (optics == nullptr) return groups_of_rows(table);
  OpticsGroups found;
  found.groups = parse_optics(*optics);
  const auto column = table.find_column("rlnOpticsGroup");
  if (!column && found.groups.size() != 1)
    throw Error(ErrorCode::corrupt, "{}: table data_{} does not say which of {} optics groups its rows belong to",
                file.source, table.name, found.groups.size());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const long id = column ? table.integer(row, *column) : found.groups[0].id;
    std::size_t i = 0;
    while (i < found.groups.size() && found.groups[i].id != id) ++i;
    if (i == found.groups.size())
      throw Error(ErrorCode::corrupt, "{}: optics group {} is not in data_optics", table.place(row), id);
    found.group_of_row.push_back(static_cast<int>(i));
  }
  return found;
}

}  // namespace frazil::io
