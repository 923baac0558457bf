#include "frazil/protocols/extract.hpp"

#include <optional>

#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

/// Positions in pixels of the micrograph at hand, with the picker's score.
struct Positions {
  std::vector<extract::Position> places;
  std::vector<double> scores;  ///< empty: none known
};

Positions read_positions(const std::filesystem::path& path, double scale) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnCoordinateX");
  const auto x = table.numbers("rlnCoordinateX"), y = table.numbers("rlnCoordinateY");
  Positions positions;
  for (std::size_t i = 0; i < x.size(); ++i) positions.places.push_back({x[i] * scale, y[i] * scale});
  if (table.has("rlnAutopickFigureOfMerit")) positions.scores = table.numbers("rlnAutopickFigureOfMerit");
  return positions;
}

/// The particles' table, row by row.
class Rows {
 public:
  Rows(const Micrograph& micrograph, const std::optional<CtfFit>& ctf, std::string stack, bool scored)
      : micrograph_(micrograph.path),
        stack_(std::move(stack)),
        ctf_(ctf),
        scored_(scored),
        pixel_size_A_(micrograph.pixel_size.value()),
        centre_x_(0.5 * micrograph.nx),
        centre_y_(0.5 * micrograph.ny),
        table_("particles", {"rlnCoordinateX", "rlnCoordinateY", "rlnImageName", "rlnMicrographName", "rlnOpticsGroup",
                             "rlnParticleId"}) {
    if (scored_) table_.add_column("rlnAutopickFigureOfMerit");
    if (ctf_)
      for (const auto* label : {"rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfMaxResolution",
                                "rlnCtfFigureOfMerit"})
        table_.add_column(label);
  }

  void add(const extract::Particle& particle, double score) {
    const auto row = table_.add_row();
    table_.set(row, "rlnCoordinateX", particle.x);
    table_.set(row, "rlnCoordinateY", particle.y);
    table_.set(row, "rlnImageName", io::join_reference(static_cast<int>(row), stack_));
    table_.set(row, "rlnMicrographName", micrograph_);
    table_.set(row, "rlnOpticsGroup", 1);
    // The row among the positions, whatever the box: the same particle has the same number in every extraction.
    table_.set(row, "rlnParticleId", static_cast<long>(particle.index) + 1);
    if (scored_) table_.set(row, "rlnAutopickFigureOfMerit", score);
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
  bool scored_;
  double pixel_size_A_, centre_x_, centre_y_;
  io::StarTable table_;
};

void write_particles(const std::filesystem::path& path, const Micrograph& micrograph, const Optics& optics,
                     const extract::Geometry& geometry, io::StarTable table) {
  std::vector<io::OpticsGroup> groups;
  io::OpticsGroup group;
  group.optics = optics;
  group.image_pixel_size = geometry.pixel_size;
  group.micrograph_pixel_size = micrograph.pixel_size;
  group.image_size = geometry.output_box;
  io::add_group(groups, group);
  io::StarFile file;
  file.add(io::optics_table(groups));
  file.add(std::move(table));
  io::write_star(path, file);
}

void note_left_out(Particles& particles, const std::string& reason, int count) {
  if (count == 0) return;
  particles.left_out_reasons.push_back(reason);
  particles.left_out_counts.push_back(count);
}

}  // namespace

Particles Extract::process(const Input& input, flow::Context& context) const {
  const auto& micrograph = input.micrograph;
  auto image = io::read_image(context.input(micrograph.path));
  image.pixel_size = micrograph.pixel_size;
  const bool same_pixel = !(input.coordinates.pixel_size.value() > 0);
  const auto positions = read_positions(context.input(input.coordinates.coordinates),
                                        same_pixel ? 1.0 : input.coordinates.pixel_size / micrograph.pixel_size);
  const auto stem = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name);
  const Optics& optics = input.ctf ? input.ctf->optics : micrograph.optics;

  Particles out;
  try {
    const auto sizes = extract::geometry(params, micrograph.pixel_size, input.coordinates.diameter);
    std::optional<extract::Lens> lens;
    if (input.ctf) lens = extract::Lens{input.ctf->ctf(), optics};
    Rows rows(micrograph, input.ctf, context.reference(stem + ".mrcs"), !positions.scores.empty());
    std::optional<io::StackWriter> stack;
    Rng rng = context.rng();
    const auto summary = extract::extract(
        image, positions.places, lens, params, sizes, rng, context.threads(), [&](extract::Particle&& particle) {
          context.check_cancelled();
          if (!stack)
            stack.emplace(context.output(stem + ".mrcs"), sizes.output_box, sizes.output_box, sizes.pixel_size);
          stack->append(particle.image);
          rows.add(particle, positions.scores.empty() ? 0 : positions.scores[particle.index]);
        });
    if (stack) stack->close();
    write_particles(context.output(stem + "_particles.star"), micrograph, optics, sizes, rows.take());
    out.count = summary.kept;
    out.box = sizes.output_box;
    out.pixel_size = sizes.pixel_size;
    note_left_out(out, "outside", summary.outside);
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
  out.optics = optics;
  out.phase_flipped = params.phase_flip;
  return out;
}

int Extract::memory_mib(const Input& input) const {
  const double megapixels = 1e-6 * input.micrograph.nx * input.micrograph.ny;
  return 128 + static_cast<int>((params.phase_flip ? 24 : 8) * megapixels);
}

template flow::Protocol protocol_of<Extract>();

}  // namespace frazil::protocols
