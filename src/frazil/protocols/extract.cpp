#include "frazil/protocols/extract.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/protocols/coordinate_files.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/particle_files.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

/// Positions in pixels of the micrograph at hand.
std::vector<extract::Position> positions_of(const CoordinateRows& picked, double scale) {
  const auto& table = picked.table();
  const int x = table.column("rlnCoordinateX"), y = table.column("rlnCoordinateY");
  std::vector<extract::Position> positions;
  for (const auto row : picked.rows) positions.push_back({table.number(row, x) * scale, table.number(row, y) * scale});
  return positions;
}

/// Columns of a table of positions that the new images make untrue, or that the table of optics takes over.
bool is_replaced(const std::string& label) {
  constexpr std::array replaced{"rlnCoordinateX",    "rlnCoordinateY",         "rlnImageName",
                                "rlnMicrographName", "rlnOpticsGroup",         "rlnVoltage",
                                "rlnPixelSize",      "rlnSphericalAberration", "rlnAmplitudeContrast",
                                "rlnMagnification",  "rlnDetectorPixelSize"};
  return std::find(replaced.begin(), replaced.end(), label) != replaced.end();
}

/// Optics of the new images: those of the micrograph, or those that the table of positions brought for each of its
/// rows, as tables of particles do.
class Groups {
 public:
  /// @param optics  of the micrograph; certain when a CTF was fitted with them
  Groups(const CoordinateRows& picked, const Optics& optics, bool certain, const io::OpticsGroup& sizes) {
    const auto& table = picked.table();
    if (picked.file.find_table("optics") == nullptr && !table.has("rlnVoltage")) {
      auto group = sizes;
      group.optics = optics;
      io::add_group(groups_, group);
      return;
    }
    auto brought = io::read_optics(picked.file, table);
    for (auto& group : brought.groups) {
      auto own = std::exchange(group.optics, optics);
      if (!certain) group.optics = own;
      if (!own.further.empty()) group.optics.further = own.further;
      if (!own.optics_group.empty()) group.optics.optics_group = own.optics_group;
      group.image_pixel_size = sizes.image_pixel_size;
      group.micrograph_pixel_size = sizes.micrograph_pixel_size;
      group.image_size = sizes.image_size;
    }
    const auto numbers = io::merge_groups(groups_, brought.groups);
    for (const auto row : picked.rows)
      number_.push_back(numbers.at(static_cast<std::size_t>(brought.group_of_row.at(row))));
  }

  [[nodiscard]] int number(std::size_t position) const { return number_.empty() ? 1 : number_.at(position); }
  [[nodiscard]] std::vector<io::OpticsGroup>& list() { return groups_; }

 private:
  std::vector<io::OpticsGroup> groups_;
  std::vector<int> number_;  ///< of each position; empty: all the first
};

/// The particles' table, row by row. What the table of positions says beside the place stays.
class Rows {
 public:
  Rows(const Micrograph& micrograph, const std::optional<CtfFit>& ctf, std::string stack, const CoordinateRows& picked,
       const Groups& groups)
      : micrograph_(micrograph.path),
        stack_(std::move(stack)),
        ctf_(ctf),
        picked_(picked),
        groups_(groups),
        pixel_size_A_(micrograph.pixel_size.value()),
        centre_x_(0.5 * micrograph.nx),
        centre_y_(0.5 * micrograph.ny),
        numbered_(picked.table().has("rlnParticleId")),
        table_("particles", {"rlnCoordinateX", "rlnCoordinateY", "rlnImageName", "rlnMicrographName", "rlnOpticsGroup",
                             "rlnParticleId"}) {
    const auto& labels = picked.table().labels();
    for (std::size_t column = 0; column < labels.size(); ++column)
      if (!is_replaced(labels[column])) kept_.emplace_back(static_cast<int>(column), table_.add_column(labels[column]));
    if (ctf_)
      for (const auto* label : {"rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfMaxResolution",
                                "rlnCtfFigureOfMerit"})
        table_.add_column(label);
  }

  void add(const extract::Particle& particle) {
    const auto row = table_.add_row();
    for (const auto& [from, to] : kept_) table_.set(row, to, picked_.table().text(picked_.rows[particle.index], from));
    table_.set(row, "rlnCoordinateX", particle.x);
    table_.set(row, "rlnCoordinateY", particle.y);
    table_.set(row, "rlnImageName", io::join_reference(static_cast<int>(row), stack_));
    table_.set(row, "rlnMicrographName", micrograph_);
    table_.set(row, "rlnOpticsGroup", groups_.number(particle.index));
    // The row among the positions, whatever the box: the same particle has the same number in every extraction.
    if (!numbered_) table_.set(row, "rlnParticleId", static_cast<long>(particle.index) + 1);
    if (!ctf_) return;
    const auto local = ctf_->defocus_offset((particle.x - centre_x_) * pixel_size_A_,
                                            (particle.y - centre_y_) * pixel_size_A_);  // of a tilted specimen
    table_.set(row, "rlnDefocusU", (ctf_->defocus_u + local).value());
    table_.set(row, "rlnDefocusV", (ctf_->defocus_v + local).value());
    table_.set(row, "rlnDefocusAngle", ctf_->astigmatism_angle.value());
    table_.set(row, "rlnPhaseShift", ctf_->phase_shift.value());
    table_.set(row, "rlnCtfMaxResolution", ctf_->fit_resolution.value());
    table_.set(row, "rlnCtfFigureOfMerit", ctf_->score);
  }

  [[nodiscard]] io::StarTable take() { return std::move(table_); }

 private:
  std::string micrograph_, stack_;
  const std::optional<CtfFit>& ctf_;
  const CoordinateRows& picked_;
  const Groups& groups_;
  double pixel_size_A_, centre_x_, centre_y_;
  bool numbered_;  ///< the positions have numbers already
  io::StarTable table_;
  std::vector<std::pair<int, int>> kept_;  ///< column of the positions' table → column of ours
};

/// What of the sizes a row of data_optics tells.
io::OpticsGroup sizes_of(const Micrograph& micrograph, const extract::Geometry& geometry) {
  io::OpticsGroup group;
  group.image_pixel_size = geometry.pixel_size;
  group.micrograph_pixel_size = micrograph.pixel_size;
  group.image_size = geometry.output_box;
  return group;
}

/// Notes flipped phases where our own reader looks for them.
void note_flipped(std::vector<io::OpticsGroup>& groups, bool flipped) {
  constexpr const char* label = "rlnCtfDataArePhaseFlipped";
  for (auto& group : groups) {
    auto& further = group.optics.further;
    std::erase_if(further, [&](const auto& column) { return column[0] == label; });
    if (flipped) further.push_back({label, "1"});
  }
}

/// The optics under which a micrograph is cut: those of its CTF, with what only the micrograph's table said.
Optics optics_of(const ExtractInput& input) {
  if (!input.ctf) return input.micrograph.optics;
  auto optics = input.ctf->optics;
  if (optics.further.empty()) optics.further = input.micrograph.optics.further;
  if (optics.optics_group.empty()) optics.optics_group = input.micrograph.optics.optics_group;
  return optics;
}

void note_left_out(Particles& particles, const std::string& reason, int count) {
  if (count == 0) return;
  particles.left_out_reasons.push_back(reason);
  particles.left_out_counts.push_back(count);
}

}  // namespace

Particles Extract::process(const Input& input, flow::Context& context) const {
  const auto& micrograph = input.micrograph;
  const auto image = read_micrograph(micrograph, context);
  const bool same_pixel = !(input.coordinates.pixel_size.value() > 0);
  const auto picked = read_coordinates(input.coordinates, micrograph.path, context);
  const auto positions = positions_of(picked, same_pixel ? 1.0 : input.coordinates.pixel_size / micrograph.pixel_size);
  const auto stem = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name);
  const Optics optics = optics_of(input);

  Particles out;
  try {
    const auto sizes = extract::geometry(params, micrograph.pixel_size, input.coordinates.diameter);
    std::optional<extract::Lens> lens;
    if (input.ctf) lens = extract::Lens{input.ctf->ctf(), optics};
    Groups groups(picked, optics, input.ctf.has_value(), sizes_of(micrograph, sizes));
    Rows rows(micrograph, input.ctf, context.reference(stem + ".mrcs"), picked, groups);
    std::optional<io::StackWriter> stack;
    Rng rng = context.rng();
    const auto summary = extract::extract(
        image, positions, lens, params, sizes, rng, context.threads(), [&](extract::Particle&& particle) {
          context.check_cancelled();
          if (!stack)
            stack.emplace(context.output(stem + ".mrcs"), sizes.output_box, sizes.output_box, sizes.pixel_size);
          stack->append(particle.image);
          rows.add(particle);
        });
    if (stack) stack->close();
    note_flipped(groups.list(), params.phase_flip);
    write_particles(context.output(stem + "_particles.star"), groups.list(), rows.take());
    out.optics = groups.list().front().optics;
    out.count = summary.kept;
    out.box = sizes.output_box;
    out.pixel_size = sizes.pixel_size;
    const auto not_finite = static_cast<int>(std::count_if(positions.begin(), positions.end(), [](const auto& place) {
      return !std::isfinite(place.x) || !std::isfinite(place.y);
    }));
    note_left_out(out, "box over the edge", summary.outside - not_finite);
    note_left_out(out, "position not finite", not_finite);
    note_left_out(out, "flat", summary.flat);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_input) throw;
    throw Error(error.code(), "{}: {}", micrograph.path, error.what());
  }
  out.star = context.reference(stem + "_particles.star");
  if (out.count > 0) out.stack = context.reference(stem + ".mrcs");
  out.micrograph = micrograph.path;
  out.name = micrograph.name;
  out.diameter = params.diameter.value() > 0 ? params.diameter : input.coordinates.diameter;
  out.phase_flipped = params.phase_flip;
  return out;
}

int Extract::memory_mib(const Input& input) const {
  const double megapixels = 1e-6 * input.micrograph.nx * input.micrograph.ny;
  return 128 + static_cast<int>((params.phase_flip ? 24 : 8) * megapixels);
}

template flow::Protocol protocol_of<Extract>();

}  // namespace frazil::protocols
