#include "frazil/protocols/particle_files.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <set>

#include "frazil/base/log.hpp"
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

bool is_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// What RELION takes for a column that is absent.
std::string_view absent(std::string_view label, bool is_number) {
  if (label == "rlnCtfScalefactor") return "1";
  return is_number ? "0" : "None";
}

/// Absent is not 0 here: a row without it cannot stand among rows with it.
void refuse_partly(const std::vector<TablePart>& parts, std::string_view label, std::string_view what) {
  const TablePart *with = nullptr, *without = nullptr;
  for (const auto& part : parts) {
    const bool has = std::any_of(part.columns.begin(), part.columns.end(),
                                 [&](const auto& column) { return column.first == label; });
    (has ? with : without) = &part;
  }
  if (with != nullptr && without != nullptr)
    throw Error(ErrorCode::bad_input, "{} has {} ({}), {} has none: they cannot be put together", with->source, what,
                label, without->source);
}

/// Names what no result of ours holds.
void say_left_tables(const io::StarFile& file) {
  for (const auto& table : file.tables)
    if (table.name != "optics" && !table.has("rlnImageName"))
      log::warning("{}: the table data_{} is not carried on", file.source, table.name);
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

/// What the arithmetic of the CTF needs of them, and no text for each of millions of particles.
Optics bare(Optics optics) {
  optics.further.clear();
  optics.optics_group.clear();
  return optics;
}

bool is_premultiplied(const io::OpticsGroup& group) {
  return std::any_of(group.optics.further.begin(), group.optics.further.end(), [](const auto& column) {
    return column[0] == "rlnCtfDataAreCtfPremultiplied" && column[1] == "1";
  });
}

/// Places of all images; names in the table become those that whoever reads our tables finds.
ImagePlaces find_images(io::StarTable& table, const std::vector<fs::path>& stars,
                        const std::vector<std::size_t>& star_of_row, const flow::Context& context) {
  ImagePlaces images;
  std::map<std::pair<std::size_t, std::string>, std::pair<std::size_t, std::string>> known;
  const int column = table.column("rlnImageName");
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto reference = io::split_reference(std::string(table.text(row, column)));
    const auto key = std::pair{star_of_row[row], reference.file};
    auto found = known.find(key);
    if (found == known.end()) {
      const auto stack = find_stack(stars[star_of_row[row]], reference.file, context);
      found = known.emplace(key, std::pair{images.stacks.size(), stack.name}).first;
      images.stacks.push_back(stack.path.string());
    }
    images.of_row.push_back({found->second.first, reference.index});
    if (found->second.second != reference.file)
      table.set(row, column, std::string_view(io::join_reference(reference.index, found->second.second)));
  }
  return images;
}

}  // namespace

const io::OpticsGroup& ParticleTables::group_of(std::size_t row) const {
  return groups.at(static_cast<std::size_t>(table.integer(row, "rlnOpticsGroup") - 1));
}

std::optional<TablePart> TableMerge::part_of(const io::StarFile& file) {
  const auto& table = file.table_with("rlnImageName");
  if (table.rows() == 0) return std::nullopt;
  TablePart part;
  for (int c = 0; c < table.columns(); ++c)
    part.columns.emplace_back(table.labels()[static_cast<std::size_t>(c)], is_number(table.text(0, c)));
  part.groups = io::read_optics(file, table).groups;
  part.source = file.source;
  return part;
}

/// All columns that a table has, in the order of their first appearance, each with what stands in it.
std::size_t TableMerge::add(const TablePart& part) {
  for (const auto& column : part.columns)
    if (std::none_of(columns_.begin(), columns_.end(), [&](const auto& c) { return c.first == column.first; }))
      columns_.push_back(column);
  numbers_.push_back(io::merge_groups(groups_, part.groups));
  parts_.push_back(part);
  return parts_.size() - 1;
}

void TableMerge::finish() {
  refuse_partly(parts_, "rlnDefocusU", "a CTF");
  refuse_partly(parts_, "rlnCoordinateX", "positions");
  if (std::none_of(columns_.begin(), columns_.end(), [](const auto& c) { return c.first == "rlnOpticsGroup"; }))
    columns_.emplace_back("rlnOpticsGroup", true);
}

io::StarTable TableMerge::table() const {
  std::vector<std::string> labels;
  for (const auto& [label, number] : columns_) labels.push_back(label);
  return io::StarTable("particles", std::move(labels));
}

void TableMerge::append(const io::StarFile& file, std::size_t part, io::StarTable& to) const {
  const auto& table = file.table_with("rlnImageName");
  const auto optics = io::read_optics(file, table);
  std::vector<std::optional<int>> from;
  for (const auto& [label, number] : columns_) from.push_back(table.find_column(label));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto at = to.add_row();
    for (std::size_t c = 0; c < columns_.size(); ++c)
      to.set(at, static_cast<int>(c),
             from[c] ? table.text(row, *from[c]) : absent(columns_[c].first, columns_[c].second));
    to.set(at, "rlnOpticsGroup", numbers_.at(part).at(static_cast<std::size_t>(optics.group_of_row.at(row))));
  }
}

ParticleTables merge_tables(const std::vector<io::StarFile>& files) {
  TableMerge merge;
  std::vector<std::pair<const io::StarFile*, std::size_t>> parts;
  for (const auto& file : files)
    if (const auto part = TableMerge::part_of(file)) parts.emplace_back(&file, merge.add(*part));
  merge.finish();
  ParticleTables out{merge.groups(), merge.table()};
  for (const auto& [file, part] : parts) merge.append(*file, part, out.table);
  return out;
}

FoundParticles read_tables(const std::vector<Particles>& records, const flow::Context& context) {
  std::vector<io::StarFile> files;
  std::vector<fs::path> stars;
  std::vector<std::size_t> star_of_row;
  const Particles* first = nullptr;
  for (const auto& record : records) {
    if (record.count == 0) continue;
    const auto star = context.input(record.star);
    if (first == nullptr) first = &record;
    if (record.box != first->box || std::abs(record.pixel_size / first->pixel_size - 1) > 1e-3)
      throw Error(ErrorCode::bad_input,
                  "{}: particles of {} pixels of {:.4f} Å cannot be put together with those of {} pixels of {:.4f} Å",
                  star.string(), record.box, record.pixel_size.value(), first->box, first->pixel_size.value());
    files.push_back(io::read_star(star));
    say_left_tables(files.back());
    star_of_row.insert(star_of_row.end(), files.back().table_with("rlnImageName").rows(), stars.size());
    stars.push_back(star);
  }
  if (first == nullptr) throw Error(ErrorCode::bad_input, "{} particle files hold no particles at all", records.size());
  FoundParticles out{merge_tables(files), {}};
  out.images = find_images(out.table, stars, star_of_row, context);
  return out;
}

void check_sampling(const ParticleTables& tables, Angstrom pixel_size, int box, const std::string& star) {
  std::set<long> used;
  for (const long number : tables.table.integers("rlnOpticsGroup")) used.insert(number);
  for (const auto number : used) {
    const auto& group = tables.groups.at(static_cast<std::size_t>(number - 1));
    const bool other_pixel = group.image_pixel_size > 0_A && std::abs(group.image_pixel_size / pixel_size - 1) > 1e-3;
    if (other_pixel || (group.image_size > 0 && group.image_size != box))
      throw Error(ErrorCode::bad_input,
                  "{}: optics group {} has images of {} pixels of {:.4f} Å, others have {} pixels of {:.4f} Å: extract "
                  "all with one pixel size and box",
                  star, group.name, group.image_size, group.image_pixel_size.value(), box, pixel_size.value());
  }
}

ParticleFiles read_particles(const std::vector<Particles>& records, const flow::Context& context) {
  auto found = read_tables(records, context);
  const auto first = std::find_if(records.begin(), records.end(), [](const Particles& p) { return p.count > 0; });
  check_sampling(found, first->pixel_size, first->box, first->star);
  if (!found.table.has("rlnDefocusU"))
    throw Error(ErrorCode::bad_input, "{}: no column rlnDefocusU: extract the particles with their CTF", first->star);
  for (const auto& group : found.groups)
    if (is_premultiplied(group))
      throw Error(ErrorCode::unsupported,
                  "{}: the images of optics group {} are multiplied by their CTF; take those "
                  "that are not",
                  first->star, group.name);
  ParticleFiles out{std::move(static_cast<ParticleTables&>(found)), {}};
  out.set.box = first->box;
  out.set.pixel_size = first->pixel_size;
  out.set.phase_flipped = first->phase_flipped;
  for (std::size_t row = 0; row < out.table.rows(); ++row) {
    out.set.ctf.push_back(ctf_of(out.table, row));
    out.set.optics.push_back(bare(out.group_of(row).optics));
  }
  const auto images = std::make_shared<const ImagePlaces>(std::move(found.images));
  const auto open = std::make_shared<OpenStacks>();
  const int box = out.set.box;
  out.set.image = [images, open, box](std::size_t i) {
    const auto& place = images->of_row[i];
    const auto& path = images->stacks[place.stack];
    auto image = open->get(path)->read(place.index);
    if (image.nx() != box || image.ny() != box)
      throw Error(ErrorCode::bad_input, "{}: expected images of {} × {} pixels, found {} × {}", path, box, box,
                  image.nx(), image.ny());
    return image;
  };
  return out;
}

void write_particles(const std::filesystem::path& path, const std::vector<io::OpticsGroup>& groups,
                     io::StarTable table) {
  io::StarFile star;
  star.add(io::optics_table(groups));
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
