#include "frazil/protocols/screen_particles.hpp"

#include <algorithm>
#include <memory>

#include "frazil/io/image_file.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/particle_files.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

/// The images of a table, from as many stacks as it names.
class Images {
 public:
  Images(const ImagePlaces& places, Angstrom pixel_size) : places_(places), pixel_size_(pixel_size) {
    for (const auto& path : places.stacks) stacks_.push_back(std::make_unique<io::StackReader>(path));
  }
  [[nodiscard]] Image read(std::size_t i) const {
    const auto& place = places_.of_row[i];
    auto image = stacks_[place.stack]->read(place.index);
    image.pixel_size = pixel_size_;
    return image;
  }

 private:
  const ImagePlaces& places_;
  Angstrom pixel_size_;
  std::vector<std::unique_ptr<io::StackReader>> stacks_;
};

/// The rows of `table` for which the verdict fits; with a column of reasons for those set aside.
io::StarTable chosen_rows(const io::StarTable& table, const std::vector<extract::Verdict>& verdicts, bool set_aside) {
  auto labels = table.labels();
  if (set_aside) labels.insert(labels.end(), {"frazilReason", "frazilReasonValue", "frazilReasonLimit"});
  io::StarTable out(table.name, labels);
  for (std::size_t from = 0; from < table.rows(); ++from) {
    const auto& verdict = verdicts[from];
    if ((verdict.reason != extract::Reason::none) != set_aside) continue;
    const auto row = out.add_row();
    for (int column = 0; column < table.columns(); ++column) out.set(row, column, table.text(from, column));
    if (!set_aside) continue;
    out.set(row, "frazilReason", extract::reason_names[static_cast<std::size_t>(verdict.reason)]);
    out.set(row, "frazilReasonValue", verdict.value);
    out.set(row, "frazilReasonLimit", verdict.limit);
  }
  return out;
}

}  // namespace

ScreenedParticles ScreenParticles::process(const Particles& particles, flow::Context& context) const {
  if (particles.count == 0) return {particles, std::nullopt};
  const auto file = read_tables({particles}, context);
  check_sampling(file, particles.pixel_size, particles.box, particles.star);
  const auto& table = file.table;
  const Images images(file.images, particles.pixel_size);
  const Angstrom diameter = params.diameter.value() > 0 ? params.diameter : particles.diameter;
  const auto verdicts = [&] {
    try {
      return extract::screen(
          table.rows(), [&](std::size_t i) { return images.read(i); }, diameter, params, context.threads());
    } catch (const Error& error) {
      throw Error(error.code(), "{}: {}", particles.star, error.what());
    }
  }();

  const auto stem = area_name(particles.star);
  ScreenedParticles out{particles, std::nullopt};
  out.accepted.left_out_reasons.clear();
  out.accepted.left_out_counts.clear();
  int left_out = 0;
  for (std::size_t reason = 1; reason < extract::reason_names.size(); ++reason) {
    const auto count = std::count_if(verdicts.begin(), verdicts.end(),
                                     [&](const auto& v) { return v.reason == static_cast<extract::Reason>(reason); });
    if (count == 0) continue;
    out.accepted.left_out_reasons.emplace_back(extract::reason_names[reason]);
    out.accepted.left_out_counts.push_back(static_cast<int>(count));
    left_out += static_cast<int>(count);
  }
  out.accepted.count = static_cast<int>(verdicts.size()) - left_out;
  out.accepted.star = context.reference(stem + "_accepted_particles.star");
  write_particles(context.output(stem + "_accepted_particles.star"), file.groups, chosen_rows(table, verdicts, false));
  if (left_out == 0) return out;
  out.set_aside = particles;
  out.set_aside->count = left_out;
  out.set_aside->left_out_reasons.clear();
  out.set_aside->left_out_counts.clear();
  out.set_aside->star = context.reference(stem + "_set_aside_particles.star");
  write_particles(context.output(stem + "_set_aside_particles.star"), file.groups, chosen_rows(table, verdicts, true));
  return out;
}

template flow::Protocol protocol_of<ScreenParticles>();

}  // namespace frazil::protocols
