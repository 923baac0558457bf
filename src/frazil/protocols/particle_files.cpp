#include "frazil/protocols/particle_files.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "frazil/io/image_file.hpp"
#include "frazil/params/fields.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

/// Opens stacks when they are first read from; forgets them when too many are open.
class OpenStacks {
 public:
  std::shared_ptr<const io::StackReader> get(const std::string& path) {
    const std::lock_guard lock(mutex_);
    if (const auto found = open_.find(path); found != open_.end()) return found->second;
    if (open_.size() >= 128) open_.clear();
    return open_[path] = std::make_shared<const io::StackReader>(path);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const io::StackReader>> open_;
};

/// A stack that a STAR file names: where it lies, and the name under which whoever reads our tables finds it.
struct Stack {
  fs::path path;
  std::string name;
};

/// Names that mean something to the caller's context (files of the project) stay; others, relative to the run of
/// another program, become the path that was found.
Stack find_stack(const fs::path& star, const std::string& named, const flow::Context& context) {
  if (const auto path = context.input(named); fs::exists(path)) return {path, named};
  if (const auto path = find_named(star, named); fs::exists(path)) return {path, path.string()};
  throw Error(ErrorCode::not_found, "{}: the image stack {} that it names is not there", star.string(), named);
}

struct StackPlace {
  std::size_t stack;
  int index;
};

/// Columns that every table has, in the order of the first.
std::vector<std::string> common_labels(const std::vector<io::StarFile>& files) {
  std::vector<std::string> labels;
  for (const auto& label : files.front().table_with("rlnImageName").labels())
    if (std::all_of(files.begin(), files.end(),
                    [&](const io::StarFile& f) { return f.table_with("rlnImageName").has(label); }))
      labels.push_back(label);
  if (std::find(labels.begin(), labels.end(), "rlnOpticsGroup") == labels.end()) labels.emplace_back("rlnOpticsGroup");
  return labels;
}

Ctf ctf_of(const io::StarTable& table, std::size_t row) {
  Ctf ctf;
  ctf.defocus_u = Angstrom(table.number(row, "rlnDefocusU"));
  ctf.defocus_v = Angstrom(table.number_or(row, "rlnDefocusV", ctf.defocus_u.value()));
  ctf.astigmatism_angle = Degrees(table.number_or(row, "rlnDefocusAngle", 0));
  ctf.phase_shift = Degrees(table.number_or(row, "rlnPhaseShift", 0));
  ctf.b_factor = Angstrom2(table.number_or(row, "rlnCtfBfactor", 0));
  return ctf;
}

}  // namespace

ParticleFiles read_particles(const std::vector<Particles>& records, const flow::Context& context) {
  ParticleFiles out;
  std::vector<io::StarFile> files;
  std::vector<const Particles*> used;
  for (const auto& record : records) {
    if (record.count == 0) continue;
    files.push_back(io::read_star(context.input(record.star)));
    used.push_back(&record);
  }
  if (files.empty()) throw Error(ErrorCode::bad_input, "{} particle files hold no particles at all", records.size());
  const auto labels = common_labels(files);
  out.table = io::StarTable("particles", labels);
  out.set.box = used.front()->box;
  out.set.pixel_size = used.front()->pixel_size;
  out.set.phase_flipped = used.front()->phase_flipped;
  auto stacks = std::make_shared<std::vector<std::string>>();
  auto places = std::make_shared<std::vector<StackPlace>>();
  for (std::size_t f = 0; f < files.size(); ++f) {
    const auto& table = files[f].table_with("rlnImageName");
    const auto star = context.input(used[f]->star);
    if (used[f]->box != out.set.box || std::abs(used[f]->pixel_size / out.set.pixel_size - 1) > 1e-3)
      throw Error(ErrorCode::bad_input,
                  "{}: particles of {} pixels of {:.4f} Å cannot be put together with those of {} pixels of {:.4f} Å",
                  star.string(), used[f]->box, used[f]->pixel_size.value(), out.set.box, out.set.pixel_size.value());
    const auto optics = io::read_optics(files[f], table);
    std::vector<int> number;
    for (const auto& group : optics.groups) number.push_back(io::add_group(out.groups, group));
    std::map<std::string, std::pair<std::size_t, std::string>> known_stacks;  // name in this table → number, our name
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const auto reference = io::split_reference(std::string(table.text(row, "rlnImageName")));
      auto known = known_stacks.find(reference.file);
      if (known == known_stacks.end()) {
        const auto stack = find_stack(star, reference.file, context);
        known = known_stacks.emplace(reference.file, std::pair{stacks->size(), stack.name}).first;
        stacks->push_back(stack.path.string());
      }
      places->push_back({known->second.first, reference.index});
      const auto group = static_cast<std::size_t>(optics.group_of_row.at(row));
      out.set.ctf.push_back(ctf_of(table, row));
      out.set.optics.push_back(optics.groups.at(group).optics);
      const auto to = out.table.add_row();
      for (const auto& label : labels)
        if (label != "rlnOpticsGroup") out.table.set(to, label, table.text(row, label));
      out.table.set(to, "rlnImageName", io::join_reference(reference.index, known->second.second));
      out.table.set(to, "rlnOpticsGroup", number.at(group));
    }
  }
  auto open = std::make_shared<OpenStacks>();
  const int box = out.set.box;
  out.set.image = [stacks, places, open, box](std::size_t i) {
    const auto& place = (*places)[i];
    const auto& path = (*stacks)[place.stack];
    auto image = open->get(path)->read(place.index);
    if (image.nx() != box || image.ny() != box)
      throw Error(ErrorCode::bad_input, "{}: expected images of {} × {} pixels, found {} × {}", path, box, box,
                  image.nx(), image.ny());
    return image;
  };
  return out;
}

void write_particles(const std::filesystem::path& path, const ParticleFiles& files, io::StarTable table) {
  io::StarFile star;
  star.add(io::optics_table(files.groups));
  star.add(std::move(table));
  io::write_star(path, star);
}

io::StarTable pick_rows(const io::StarTable& table, const std::vector<std::size_t>& rows) {
  io::StarTable out(table.name, table.labels());
  for (const auto row : rows) {
    const auto to = out.add_row();
    for (int c = 0; c < table.columns(); ++c) out.set(to, c, table.text(row, c));
  }
  return out;
}

}  // namespace frazil::protocols
