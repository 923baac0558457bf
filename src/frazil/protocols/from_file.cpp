#include "frazil/protocols/from_file.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/records.hpp"
#include "frazil/protocols/ctf_star.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

std::string extension_of(const fs::path& path) {
  auto text = path.extension().string();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return text;
}
bool is_star(const fs::path& path) { return extension_of(path) == ".star"; }
bool is_json(const fs::path& path) { return extension_of(path) == ".json" || extension_of(path) == ".jsonl"; }

/// Sets what the user gave; names are those of settable_fields.
template <class Record>
void apply(Record& record, const Json& settings) {
  Json json = record_to_json(record);
  for (const auto& field : settable_fields(std::string(Record::kind))) {
    if (!settings.contains(field.name)) continue;
    auto& target = field.star_label == "optics" ? json["optics"] : json;
    target[field.name + field.suffix] = settings.at(field.name);
  }
  record = record_from_json<Record>(json);
}

Angstrom known_pixel_size(Angstrom in_file, const Json& settings, const fs::path& path) {
  if (settings.contains("pixel_size")) return Angstrom(settings.at("pixel_size").get<double>());
  if (in_file > 0_A) return in_file;
  throw Error(ErrorCode::bad_input, "{}: the file does not tell its pixel size; give --pixel-size in Å", path.string());
}

template <class Record>
FileRecord finish(Record record, const Json& settings, const std::string& area) {
  apply(record, settings);
  return {area, record_to_json(record)};
}

/// A number the user gave, or 0.
double given(const Json& settings, const char* name) {
  return settings.contains(name) && settings.at(name).is_number() ? settings.at(name).get<double>() : 0;
}

/// Frames, sizes and exposure of an EER movie. What the user gives counts for raw frames and sensor pixels; the record
/// tells of fractions on the chosen grid.
void describe_eer(const io::EerFile& eer, const Json& settings, const fs::path& path, Movie& movie) {
  Json named = Json::object();
  if (settings.contains("eer_grid")) named["eer_grid"] = settings.at("eer_grid");
  movie.eer_grid = record_from_json<Movie>(named).eer_grid;
  const Angstrom sensor_pixel = known_pixel_size(eer.index().pixel_size, settings, path);
  Dose raw_dose(given(settings, "dose_per_frame"));
  if (!(raw_dose > 0_e_per_A2))
    raw_dose = Dose(eer.index().electrons_per_pixel / eer.raw_frames() / (sensor_pixel.value() * sensor_pixel.value()));
  constexpr Dose most = 500_e_per_A2;
  if (raw_dose * eer.raw_frames() > most)
    throw Error(ErrorCode::bad_input,
                "{}: {} raw frames of {} e/A^2 make {} e/A^2, at most {} are plausible: for EER dose_per_frame is the "
                "exposure of one raw frame",
                path.string(), eer.raw_frames(), raw_dose.value(), (raw_dose * eer.raw_frames()).value(), most.value());
  movie.raw_frames = eer.raw_frames();
  movie.nx = eer.nx(movie.eer_grid);
  movie.ny = eer.ny(movie.eer_grid);
  movie.frames = io::eer_fractions(eer.raw_frames(), {raw_dose, Dose(given(settings, "eer_dose_per_fraction")),
                                                      given(settings, "eer_frames_per_fraction")});
  movie.eer_frames_per_fraction = static_cast<double>(movie.raw_frames) / movie.frames;
  movie.pixel_size = sensor_pixel * (static_cast<double>(eer.index().nx) / movie.nx);
  movie.dose_per_frame = movie.eer_dose_per_fraction = raw_dose * movie.eer_frames_per_fraction;
}

FileRecord movie_from(const fs::path& path, Json settings) {
  const io::MovieReader reader(path);
  Movie movie;
  movie.path = path.string();
  movie.name = path.filename().string();
  if (const auto* eer = reader.eer()) {
    describe_eer(*eer, settings, path, movie);
    for (const auto* name : {"pixel_size", "dose_per_frame"}) settings.erase(name);
  }
  for (const auto* name : {"eer_grid", "eer_frames_per_fraction", "eer_dose_per_fraction"}) settings.erase(name);
  if (reader.eer() != nullptr) return finish(movie, settings, area_name(movie.path));
  movie.nx = reader.info().nx;
  movie.ny = reader.info().ny;
  movie.frames = reader.info().nz;
  movie.pixel_size = known_pixel_size(reader.info().pixel_size, settings, path);
  return finish(movie, settings, area_name(movie.path));
}

FileRecord micrograph_from(const fs::path& path, const Json& settings) {
  const auto info = io::read_info(path);
  Micrograph mic;
  mic.path = path.string();
  mic.name = path.filename().string();
  mic.nx = info.nx;
  mic.ny = info.ny;
  mic.pixel_size = known_pixel_size(info.pixel_size, settings, path);
  mic.dose_weighted = path.stem().string().ends_with("_DW");
  return finish(mic, settings, area_name(mic.path));
}

FileRecord mask_from(const fs::path& path, const Json& settings) {
  (void)io::read_info(path);
  MicrographMask mask;
  mask.mask = path.string();
  mask.name = path.filename().string();
  return finish(mask, settings, area_name(mask.mask));
}

/// Global shifts of a RELION motion STAR (one movie a file).
FileRecord motion_from(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& shifts = file.table_with("rlnMicrographShiftX");
  const auto& general = file.table_with("rlnMicrographMovieName");
  Motion motion;
  motion.star = path.string();
  motion.movie = std::string(general.text(0, "rlnMicrographMovieName"));
  motion.pixel_size = Angstrom(general.number_or(0, "rlnMicrographOriginalPixelSize", 1));
  for (std::size_t row = 0; row < shifts.rows(); ++row)
    motion.shifts_px.push_back({shifts.number(row, "rlnMicrographShiftX"), shifts.number(row, "rlnMicrographShiftY")});
  motion.frames = static_cast<int>(shifts.rows());
  return finish(motion, settings, area_name(motion.movie));
}

std::vector<FileRecord> micrographs_from_star(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnMicrographName");
  const auto optics = io::read_optics(file, table);
  std::vector<FileRecord> records;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto image = find_named(path, std::string(table.text(row, "rlnMicrographName")));
    Json with_optics = settings;
    const auto& group = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(row)));
    if (!with_optics.contains("pixel_size") && group.pixel_size() > 0_A)
      with_optics["pixel_size"] = group.pixel_size().value();
    for (const auto& [name, value] : {std::pair{"voltage", group.optics.voltage.value()},
                                      {"cs", group.optics.cs.value()},
                                      {"amplitude_contrast", group.optics.amplitude_contrast}})
      if (!with_optics.contains(name)) with_optics[name] = value;
    if (!with_optics.contains("optics_group") && !group.optics.optics_group.empty())
      with_optics["optics_group"] = group.optics.optics_group;
    if (!with_optics.contains("magnification") && !group.optics.magnification.empty())
      with_optics["magnification"] = group.optics.magnification;
    records.push_back(micrograph_from(image, with_optics));
  }
  return records;
}

std::vector<FileRecord> ctf_fits_from_star(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnDefocusU");
  const auto optics = io::read_optics(file, table);
  std::vector<FileRecord> records;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto& group = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(row)));
    CtfFit fit;
    fit.micrograph = table.has("rlnMicrographName") ? std::string(table.text(row, "rlnMicrographName")) : path.string();
    fit.name = fs::path(fit.micrograph).filename().string();
    fit.optics = group.optics;
    if (group.pixel_size() > 0_A) fit.pixel_size = group.pixel_size();
    read_ctf_row(table, row, fit);
    records.push_back(finish(fit, settings, area_name(fit.micrograph)));
  }
  return records;
}

FileRecord coordinates_from(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnCoordinateX");
  Coordinates coordinates;
  coordinates.coordinates = path.string();
  coordinates.count = static_cast<int>(table.rows());
  if (table.has("rlnMicrographName") && table.rows() > 0) coordinates.micrograph = table.text(0, "rlnMicrographName");
  coordinates.name =
      coordinates.micrograph.empty() ? path.stem().string() : fs::path(coordinates.micrograph).filename().string();
  return finish(coordinates, settings,
                area_name(coordinates.micrograph.empty() ? path.string() : coordinates.micrograph));
}

FileRecord particles_from(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnImageName");
  const auto optics = io::read_optics(file, table);
  if (table.rows() == 0) throw Error(ErrorCode::bad_input, "{}: the table of particles has no rows", path.string());
  const auto reference = io::split_reference(std::string(table.text(0, "rlnImageName")));
  Particles particles;
  particles.star = path.string();
  particles.stack = find_named(path, reference.file).string();
  particles.count = static_cast<int>(table.rows());
  particles.name = path.stem().string();
  const auto& group = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(0)));
  particles.optics = group.optics;
  const auto info = io::read_info(particles.stack);
  particles.box = info.nx;
  particles.pixel_size =
      known_pixel_size(group.pixel_size() > 0_A ? group.pixel_size() : info.pixel_size, settings, path);
  return finish(particles, settings, area_name(path.string()));
}

/// The table of particles that belongs to a table of classes: the one it names, RELION's run_it025_data.star beside
/// run_it025_model.star, or particles.star beside it.
fs::path particles_of_classes(const fs::path& path, const io::StarTable* details) {
  if (details != nullptr) return find_named(path, std::string(details->text(0, "frazilParticlesStar")));
  auto name = path.filename().string();
  if (const auto at = name.rfind("_model.star"); at != std::string::npos)
    return path.parent_path() / name.replace(at, std::string::npos, "_data.star");
  return path.parent_path() / "particles.star";
}

FileRecord classes_from(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnReferenceImage");
  const auto* details = file.find_table("frazil_classification");
  if (table.rows() == 0) throw Error(ErrorCode::bad_input, "{}: the table of classes has no rows", path.string());
  Classes classes;
  classes.star = path.string();
  classes.averages =
      find_named(path, io::split_reference(std::string(table.text(0, "rlnReferenceImage"))).file).string();
  classes.particles = particles_of_classes(path, details).string();
  if (!fs::exists(classes.particles))
    throw Error(ErrorCode::not_found, "{}: the particles of these classes are not there", classes.particles);
  const auto info = io::read_info(classes.averages);
  classes.box = info.nx;
  classes.pixel_size = known_pixel_size(info.pixel_size, settings, classes.averages);
  classes.classes = static_cast<int>(table.rows());
  classes.counts.assign(table.rows(), 0);
  const auto star = io::read_star(classes.particles);
  const auto& particles = star.table_with("rlnClassNumber");
  for (const long k : particles.integers("rlnClassNumber")) {
    if (k < 1 || k > classes.classes)
      throw Error(ErrorCode::corrupt, "{}: expected classes 1 to {}, found {}", classes.particles, classes.classes, k);
    ++classes.counts[static_cast<std::size_t>(k - 1)];
  }
  classes.particle_count = static_cast<int>(particles.rows());
  for (std::size_t row = 0; row < table.rows(); ++row)
    classes.resolution.emplace_back(table.number_or(row, "rlnEstimatedResolution", 0));
  if (details != nullptr) {
    classes.diameter = Angstrom(details->number(0, "frazilParticleDiameter"));
    classes.background = static_cast<int>(details->integer(0, "frazilBackgroundClasses"));
    classes.phase_flipped = details->integer(0, "frazilPhaseFlipped") != 0;
  }
  auto record = finish(classes, settings, area_name(path.string()));
  if (!(record_from_json<Classes>(record.record).diameter > 0_A))
    throw Error(ErrorCode::bad_input, "{}: the particle diameter is not known; give --diameter in Å", path.string());
  return record;
}

FileRecord volume_from(const fs::path& path, const Json& settings) {
  const auto info = io::read_info(path);
  VolumeMap volume;
  volume.volume = path.string();
  volume.box = info.nx;
  volume.pixel_size = known_pixel_size(info.pixel_size, settings, path);
  return finish(volume, settings, area_name(path.string()));
}

/// Records as --json printed them: one object a line, or a list.
std::vector<FileRecord> from_json_file(const std::string& kind, const fs::path& path) {
  std::vector<Json> objects;
  const auto text = read_text(path);
  if (auto whole = Json::parse(text, nullptr, false); !whole.is_discarded()) {
    if (whole.is_array())
      objects.assign(whole.begin(), whole.end());
    else
      objects.push_back(std::move(whole));
  } else {
    std::istringstream lines(text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      auto object = Json::parse(line, nullptr, false);
      if (object.is_discarded())
        throw Error(ErrorCode::corrupt, "{} line {}: expected a JSON object", path.string(), number);
      objects.push_back(std::move(object));
    }
  }
  std::vector<FileRecord> records;
  for (auto& object : objects) {
    if (!object.is_object())
      throw Error(ErrorCode::corrupt, "{}: expected JSON objects of kind {}", path.string(), kind);
    if (object.contains("error") || (object.contains("kind") && object["kind"] != kind)) continue;
    object.erase("kind");
    std::string name;
    for (const auto* key : {"name", "movie", "micrograph", "path", "star", "volume"})
      if (object.contains(key) && object[key].is_string()) {
        name = object[key];
        break;
      }
    records.push_back({area_name(name), std::move(object)});
  }
  return records;
}

template <class Record>
void collect(std::vector<FieldInfo>& list, const std::vector<std::string_view>& names) {
  for (auto& field : describe<Record>())
    if (std::find(names.begin(), names.end(), field.name) != names.end()) list.push_back(std::move(field));
  if constexpr (requires(Record r) { r.optics; })
    for (auto& field : describe<Optics>()) {
      field.star_label = "optics";  // where apply() puts it
      list.push_back(std::move(field));
    }
}

}  // namespace

std::vector<FieldInfo> settable_fields(const std::string& kind) {
  std::vector<FieldInfo> list;
  if (kind == Movie::kind)
    collect<Movie>(list, {"pixel_size", "dose_per_frame", "pre_exposure", "gain", "defects", "eer_grid",
                          "eer_dose_per_fraction", "eer_frames_per_fraction"});
  if (kind == Micrograph::kind) collect<Micrograph>(list, {"pixel_size"});
  if (kind == CtfFit::kind) collect<CtfFit>(list, {"pixel_size"});
  if (kind == Coordinates::kind) collect<Coordinates>(list, {"diameter", "pixel_size"});
  if (kind == Particles::kind) collect<Particles>(list, {"pixel_size", "diameter"});
  if (kind == Classes::kind) collect<Classes>(list, {"pixel_size", "diameter"});
  if (kind == VolumeMap::kind) collect<VolumeMap>(list, {"pixel_size", "symmetry"});
  for (auto& field : list)
    if (field.star_label != "optics") field.star_label.clear();
  return list;
}

bool may_hold(const std::string& kind, const fs::path& path) {
  if (is_json(path)) return !from_json_file(kind, path).empty();
  if (!is_star(path)) return kind == Movie::kind || kind == Micrograph::kind || kind == VolumeMap::kind;
  const auto file = io::read_star(path);
  const auto has = [&](std::string_view label) {
    return std::any_of(file.tables.begin(), file.tables.end(), [&](const io::StarTable& t) { return t.has(label); });
  };
  if (kind == Particles::kind) return has("rlnImageName");
  if (kind == Classes::kind) return has("rlnReferenceImage");
  if (has("rlnImageName")) return false;
  if (kind == Coordinates::kind) return has("rlnCoordinateX");
  if (kind == CtfFit::kind) return has("rlnDefocusU");
  if (kind == Motion::kind) return has("rlnMicrographShiftX");
  if (kind == Micrograph::kind) return has("rlnMicrographName") && !has("rlnCoordinateX");
  return false;
}

std::vector<FileRecord> records_from_file(const std::string& kind, const fs::path& path, const Json& settings) {
  if (!fs::exists(path)) throw Error(ErrorCode::not_found, "{}: there is no such file", path.string());
  if (is_json(path)) return from_json_file(kind, path);
  if (kind == Movie::kind) return {movie_from(path, settings)};
  if (kind == Micrograph::kind)
    return is_star(path) ? micrographs_from_star(path, settings) : std::vector{micrograph_from(path, settings)};
  if (kind == VolumeMap::kind) return {volume_from(path, settings)};
  if (kind == MicrographMask::kind && !is_star(path)) return {mask_from(path, settings)};
  if (!is_star(path)) throw Error(ErrorCode::bad_input, "{}: {} are read from STAR or JSON files", path.string(), kind);
  if (kind == CtfFit::kind) return ctf_fits_from_star(path, settings);
  if (kind == Coordinates::kind) return {coordinates_from(path, settings)};
  if (kind == Particles::kind) return {particles_from(path, settings)};
  if (kind == Classes::kind) return {classes_from(path, settings)};
  if (kind == Motion::kind) return {motion_from(path, settings)};
  throw Error(ErrorCode::bad_input, "{}: {} records are read from JSON files, as --json prints them", path.string(),
              kind);
}

fs::path find_named(const fs::path& star, const std::string& named) {
  if (fs::exists(named) || fs::path(named).is_absolute()) return named;
  std::error_code ignored;
  for (const auto& table : {fs::absolute(star), fs::canonical(star, ignored)})
    for (auto folder = table.parent_path(); folder.has_relative_path(); folder = folder.parent_path())
      if (fs::exists(folder / named)) return folder / named;
  return named;
}

std::string area_name(const std::string& path) {
  auto name = fs::path(path).filename().string();
  for (const std::string_view extension :
       {".mrcs", ".mrc", ".tiff", ".tif", ".eer", ".star", ".json", ".jsonl", ".box"})
    if (name.size() > extension.size() && name.ends_with(extension)) {
      name.resize(name.size() - extension.size());
      break;
    }
  for (const std::string_view suffix : {"_DW", "_picks", "_autopick", "_manualpick", "_ctf", "_motion", "_particles",
                                        "_extract", "_PS", "_flat", "_mask", "_preprocessed"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      name.resize(name.size() - suffix.size());
      break;
    }
  return name;
}

}  // namespace frazil::protocols
