#include "frazil/protocols/classify_2d.hpp"

#include "frazil/algo/class2d/average.hpp"
#include "frazil/algo/class2d/classify.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/protocols/device.hpp"
#include "frazil/protocols/particle_files.hpp"
#include "frazil/protocols/protocol_of.hpp"
#include "frazil/protocols/usable_particles.hpp"

namespace frazil::protocols {
namespace {

constexpr int most_averaged = 2000;  // members behind one average: more would not be seen in a picture

/// The state file: one line of JSON with the particle files so far, then the state of the algorithm.
struct Saved {
  std::vector<Particles> files;
  class2d::State state;
};

std::string to_text(const std::vector<Particles>& files, const class2d::State& state) {
  Json list = Json::array();
  for (const auto& file : files) list.push_back(record_to_json(file));
  return Json{{"format", "frazil classify-2d"}, {"particles", list}}.dump() + "\n" + class2d::to_bytes(state);
}

Saved read_saved(const std::filesystem::path& path) {
  const auto text = read_text(path);
  const auto end = text.find('\n');
  const auto header = end == std::string::npos ? Json() : Json::parse(text.substr(0, end), nullptr, false);
  if (!header.is_object() || !header.contains("particles"))
    throw Error(ErrorCode::corrupt,
                "{}: expected the state of a 2D classification, found no list of its particle files", path.string());
  Saved saved;
  for (const auto& json : header.at("particles")) saved.files.push_back(record_from_json<Particles>(json));
  saved.state = class2d::state_from_bytes(std::string_view(text).substr(end + 1));
  return saved;
}

/// Adds class, turn, shift and certainty to the rows.
void add_assignments(io::StarTable& table, const class2d::State& state) {
  const double pixel = state.geometry.work_pixel().value();
  for (const auto* label :
       {"rlnClassNumber", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnMaxValueProbDistribution"})
    table.add_column(label);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto& a = state.assignments[row];
    table.set(row, "rlnClassNumber", a.index + 1);
    table.set(row, "rlnAnglePsi", -static_cast<double>(a.turn_deg));  // RELION turns from +y towards +x
    table.set(row, "rlnOriginXAngst", a.origin_x_px * pixel);
    table.set(row, "rlnOriginYAngst", a.origin_y_px * pixel);
    table.set(row, "rlnMaxValueProbDistribution", static_cast<double>(a.probability));
  }
}

/// What RELION's table of classes has no label for, so that the file alone tells the next step all it needs.
io::StarTable details(const flow::Context& context, const class2d::State& state, bool phase_flipped) {
  io::StarTable table(
      "frazil_classification",
      {"frazilParticlesStar", "frazilParticleDiameter", "frazilBackgroundClasses", "frazilPhaseFlipped"}, false);
  table.add_row();
  table.set(0, 0, context.reference("particles.star"));
  table.set(0, 1, state.geometry.diameter.value());
  table.set(0, 2, state.background);
  table.set(0, 3, phase_flipped ? 1 : 0);
  return table;
}

void write_classes(flow::Context& context, const std::vector<class2d::ClassAverage>& averages, double particles,
                   io::StarTable&& details) {
  io::StarTable table("model_classes",
                      {"rlnReferenceImage", "rlnClassNumber", "rlnClassDistribution", "rlnEstimatedResolution"});
  const auto& first = averages.front().image;
  io::StackWriter stack(context.output("averages.mrcs"), first.nx(), first.ny(), first.pixel_size);
  for (std::size_t k = 0; k < averages.size(); ++k) {
    stack.append(averages[k].image);
    const auto row = table.add_row();
    table.set(row, "rlnReferenceImage", io::join_reference(static_cast<int>(k), context.reference("averages.mrcs")));
    table.set(row, "rlnClassNumber", static_cast<long>(k) + 1);
    table.set(row, "rlnClassDistribution", averages[k].count / particles);
    table.set(row, "rlnEstimatedResolution", averages[k].resolution.value());
  }
  stack.close();
  io::StarFile file;
  file.add(std::move(details));
  file.add(std::move(table));
  io::write_star(context.output("classes.star"), file);
}

}  // namespace

Classes Classify2d::fold(const Classes* previous, const std::vector<Particles>& batch, flow::Context& context) const {
  Saved saved;
  if (previous != nullptr) saved = read_saved(context.input(previous->state));
  saved.files.insert(saved.files.end(), batch.begin(), batch.end());
  for (const auto& file : batch) flow::refuse_impossible(file, file.star);
  auto files = read_particles(saved.files, context);
  const auto left_out = keep_usable(files, context);
  Angstrom diameter = params.diameter;
  for (const auto& file : saved.files)
    if (!(diameter > 0_A)) diameter = file.diameter;
  if (!(diameter > 0_A))
    throw Error(ErrorCode::bad_input, "{}: the particle diameter is not known; give --diameter in Å",
                saved.files.front().star);

  const class2d::Hooks hooks{
      .progress = [&](double fraction, std::string_view what) { context.progress(0.9 * fraction, what); },
      .check_cancelled = [&] { context.check_cancelled(); },
      .backend = backend_of(context, &device::Backends::class2d)};
  const auto state = class2d::classify(previous != nullptr ? &saved.state : nullptr, files.set, diameter, params,
                                       context.rng(), context.threads(), hooks);
  const auto averages =
      class2d::average_classes(state, files.set, most_averaged, context.threads(), [&] { context.check_cancelled(); });

  write_classes(context, averages, static_cast<double>(files.set.count()),
                details(context, state, files.set.phase_flipped));
  auto table = std::move(files.table);
  add_assignments(table, state);
  write_particles(context.output("particles.star"), files.groups, std::move(table));
  write_text(context.output("state.bin"), to_text(saved.files, state));

  Classes out;
  out.star = context.reference("classes.star");
  out.averages = context.reference("averages.mrcs");
  out.particles = context.reference("particles.star");
  out.state = context.reference("state.bin");
  out.version = state.version;
  out.classes = state.classes();
  out.background = state.background;
  out.particle_count = static_cast<int>(files.set.count());
  out.box = files.set.box;
  out.pixel_size = files.set.pixel_size;
  out.diameter = state.geometry.diameter;
  out.phase_flipped = files.set.phase_flipped;
  out.left_out_reasons = left_out.reasons;
  out.left_out_counts = left_out.counts;
  for (const auto& average : averages) {
    out.counts.push_back(average.count);
    out.resolution.push_back(average.resolution);
  }
  return out;
}

std::vector<flow::Device> Classify2d::devices() { return devices_for(&device::Backends::class2d); }

template flow::Protocol protocol_of<Classify2d>();

}  // namespace frazil::protocols
