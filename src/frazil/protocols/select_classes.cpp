#include "frazil/protocols/select_classes.hpp"

#include "frazil/io/image_file.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/protocols/particle_files.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {

SelectClasses::Output SelectClasses::process(const Classes& classes, flow::Context& context) const {
  const io::StackReader averages(context.input(classes.averages));
  const auto count = static_cast<std::size_t>(classes.classes);
  if (averages.info().nz != classes.classes || classes.counts.size() != count || classes.resolution.size() != count)
    throw Error(ErrorCode::corrupt, "{}: expected {} averages, found {}", classes.averages, classes.classes,
                averages.info().nz);
  std::vector<class2d::ClassFeatures> features;
  for (std::size_t k = 0; k < count; ++k) {
    auto image = averages.read(static_cast<int>(k));
    image.pixel_size = classes.pixel_size;
    features.push_back(class2d::measure_average(image, classes.counts[k], classes.resolution[k], classes.diameter));
    features.back().background = static_cast<int>(k) < classes.background;
  }
  const auto verdicts = class2d::select_classes(features, params);

  Output out;
  out.classes = classes;
  out.classes.selected.clear();
  out.classes.reasons.clear();
  out.classes.scores.clear();
  for (const auto& verdict : verdicts) {
    out.classes.selected.push_back(verdict.selected ? 1 : 0);
    out.classes.reasons.push_back(verdict.reason);
    out.classes.scores.push_back(verdict.score);
  }

  const auto star = io::read_star(context.input(classes.particles));
  const auto& table = star.table("particles");
  const auto index = table.integers("rlnClassNumber");
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < index.size(); ++row) {
    const long k = index[row];
    if (k < 1 || k > classes.classes)
      throw Error(ErrorCode::corrupt, "{}: expected classes 1 to {}, found {}", table.place(row), classes.classes, k);
    if (verdicts[static_cast<std::size_t>(k - 1)].selected) rows.push_back(row);
  }
  if (rows.empty()) return out;
  io::StarFile chosen;
  chosen.add(star.table("optics"));
  chosen.add(pick_rows(table, rows));
  io::write_star(context.output("selected_particles.star"), chosen);

  Particles particles;
  particles.star = context.reference("selected_particles.star");
  particles.name = "selected_particles";
  particles.count = static_cast<int>(rows.size());
  particles.box = classes.box;
  particles.pixel_size = classes.pixel_size;
  particles.diameter = classes.diameter;
  particles.optics = io::read_optics(star, table).groups.front().optics;
  particles.phase_flipped = classes.phase_flipped;
  particles.left_out_reasons = {"in classes set aside"};
  particles.left_out_counts = {static_cast<int>(index.size() - rows.size())};
  out.particles = particles;
  return out;
}

template flow::Protocol protocol_of<SelectClasses>();

}  // namespace frazil::protocols
