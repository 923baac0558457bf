#include "frazil/protocols/screen_particles.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

/// The images that a table names, from as many stacks as it names.
class Images {
 public:
  Images(const io::StarTable& table, Angstrom pixel_size, flow::Context& context) : pixel_size_(pixel_size) {
    const int column = table.column("rlnImageName");
    for (std::size_t row = 0; row < table.rows(); ++row) {
      auto reference = io::split_reference(std::string(table.text(row, column)));
      auto& stack = stacks_[reference.file];
      if (!stack) stack = std::make_unique<io::StackReader>(context.input(reference.file));
      places_.push_back({stack.get(), reference.index});
    }
  }
  [[nodiscard]] Image read(std::size_t i) const {
    auto image = places_[i].stack->read(places_[i].index);
    image.pixel_size = pixel_size_;
    return image;
  }

 private:
  struct Place {
    const io::StackReader* stack;
    int index;
  };
  Angstrom pixel_size_;
  std::map<std::string, std::unique_ptr<io::StackReader>> stacks_;
  std::vector<Place> places_;
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

void write_chosen(const std::filesystem::path& path, const io::StarFile& in, const io::StarTable& particles,
                  const std::vector<extract::Verdict>& verdicts, bool set_aside) {
  io::StarFile out;
  for (const auto& table : in.tables) out.add(&table == &particles ? chosen_rows(table, verdicts, set_aside) : table);
  io::write_star(path, out);
}

}  // namespace

ScreenedParticles ScreenParticles::process(const Particles& particles, flow::Context& context) const {
  const auto file = io::read_star(context.input(particles.star));
  const auto& table = file.table_with("rlnImageName");
  const Images images(table, particles.pixel_size, context);
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
  write_chosen(context.output(stem + "_accepted_particles.star"), file, table, verdicts, false);
  if (left_out == 0) return out;
  out.set_aside = particles;
  out.set_aside->count = left_out;
  out.set_aside->left_out_reasons.clear();
  out.set_aside->left_out_counts.clear();
  out.set_aside->star = context.reference(stem + "_set_aside_particles.star");
  write_chosen(context.output(stem + "_set_aside_particles.star"), file, table, verdicts, true);
  return out;
}

template flow::Protocol protocol_of<ScreenParticles>();

}  // namespace frazil::protocols
