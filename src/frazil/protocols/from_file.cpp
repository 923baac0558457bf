#include "frazil/protocols/from_file.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <sstream>

#include "frazil/base/files.hpp"
#include "frazil/base/utf8.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/kinds.hpp"
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

bool is_optics(const std::string& name) {
  const auto& fields = infos_of<Optics>();
  return std::any_of(fields.begin(), fields.end(), [&](const FieldInfo& field) { return field.name == name; });
}

/// Sets what the user gave; names are those of settable_fields.
template <class Record>
void apply(Record& record, const Json& settings) {
  Json json = record_to_json(record);
  for (const auto& field : settable_fields(std::string(Record::kind))) {
    if (!settings.contains(field.name)) continue;
    auto& target = is_optics(field.name) ? json["optics"] : json;
    target[field.name + field.suffix] = settings.at(field.name);
  }
  record = record_from_json<Record>(json);
}

Angstrom known_pixel_size(Angstrom in_file, const Json& settings, const fs::path& path) {
  if (settings.contains("pixel_size")) return Angstrom(settings.at("pixel_size").get<double>());
  if (in_file > 0_A) return in_file;
  throw Error(ErrorCode::bad_input, "{}: the file does not tell its pixel size; give --pixel-size in Å", path.string());
}

/// @param place  file, or file and line, that the record comes from
/// @throws Error(bad_input) when a number is not finite or out of its field's range
template <class Record>
FileRecord finish(Record record, const Json& settings, const std::string& area, const std::string& place) {
  apply(record, settings);
  auto json = record_to_json(record);
  if (const auto problems = record_problems<Record>(json); !problems.empty())
    throw Error(ErrorCode::bad_input, "{}: {}", place, problems.front());
  if constexpr (requires { record.optics; })
    if (const auto problems = check_magnification(record.optics.magnification); !problems.empty())
      throw Error(ErrorCode::bad_input, "{}: {}", place, problems.front());
  return {area, std::move(json)};
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
  const Dose told(eer.index().electrons_per_pixel / (sensor_pixel.value() * sensor_pixel.value()));
  Dose raw_dose(given(settings, "dose_per_frame"));
  if (!(raw_dose > 0_e_per_A2)) raw_dose = told / eer.raw_frames();
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
  if (eer.index().pixel_size > 0_A) movie.exposure.file_pixel_size_A = eer.index().pixel_size.value();
  if (told > 0_e_per_A2) movie.exposure.file_dose_e_per_A2 = told.value();
  if (settings.contains("dose_per_frame") && settings.at("dose_per_frame") == 0) return;  // no weighting is asked for
  movie.dose_per_frame = movie.eer_dose_per_fraction = raw_dose * movie.eer_frames_per_fraction;
}

FileRecord movie_from(const fs::path& path, Json settings) {
  const io::MovieReader reader(path);
  Movie movie;
  movie.path = path.string();
  movie.name = printable_name(path.filename().string());
  if (const auto* eer = reader.eer()) {
    describe_eer(*eer, settings, path, movie);
    for (const auto* name : {"pixel_size", "dose_per_frame"}) settings.erase(name);
  }
  for (const auto* name : {"eer_grid", "eer_frames_per_fraction", "eer_dose_per_fraction"}) settings.erase(name);
  if (reader.eer() != nullptr) return finish(movie, settings, area_name(movie.path), path.string());
  movie.nx = reader.info().nx;
  movie.ny = reader.info().ny;
  movie.frames = reader.info().nz;
  movie.pixel_size = known_pixel_size(reader.info().pixel_size, settings, path);
  if (reader.info().pixel_size > 0_A) movie.exposure.file_pixel_size_A = reader.info().pixel_size.value();
  return finish(movie, settings, area_name(movie.path), path.string());
}

FileRecord micrograph_from(const fs::path& path, const Json& settings, const Optics& optics = {}) {
  const auto info = io::read_info(path);
  Micrograph mic;
  mic.optics = optics;
  mic.path = path.string();
  mic.name = printable_name(path.filename().string());
  mic.nx = info.nx;
  mic.ny = info.ny;
  mic.pixel_size = known_pixel_size(info.pixel_size, settings, path);
  mic.dose_weighted = path.stem().string().ends_with("_DW");
  auto record = finish(mic, settings, area_name(mic.path), path.string());
  record.micrograph = mic.path;
  return record;
}

FileRecord mask_from(const fs::path& path, const Json& settings) {
  (void)io::read_info(path);
  MicrographMask mask;
  mask.mask = path.string();
  mask.name = printable_name(path.filename().string());
  return finish(mask, settings, area_name(mask.mask), path.string());
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
  return finish(motion, settings, area_name(motion.movie), path.string());
}

/// The optics of a group; the pixel of the movies, in which RELION counts MTFs, goes with what is only passed on.
Optics optics_with_movie_pixel(const io::OpticsGroup& group) {
  auto optics = group.optics;
  if (group.original_pixel_size > 0_A && group.original_pixel_size != group.pixel_size())
    optics.further.push_back({"rlnMicrographOriginalPixelSize", fmt::format("{}", group.original_pixel_size.value())});
  return optics;
}

std::vector<FileRecord> micrographs_from_star(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnMicrographName");
  const auto optics = io::read_optics(file, table);
  std::vector<FileRecord> records;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto image = find_named(path, std::string(table.text(row, "rlnMicrographName")));
    Json sized = settings;
    const auto& group = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(row)));
    if (!sized.contains("pixel_size") && group.pixel_size() > 0_A) sized["pixel_size"] = group.pixel_size().value();
    records.push_back(micrograph_from(image, sized, optics_with_movie_pixel(group)));
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
    fit.optics = optics_with_movie_pixel(group);
    if (group.pixel_size() > 0_A) fit.pixel_size = group.pixel_size();
    read_ctf_row(table, row, fit);
    records.push_back(finish(fit, settings, area_name(fit.micrograph), table.place(row)));
    if (table.has("rlnMicrographName")) records.back().micrograph = fit.micrograph;
  }
  return records;
}

/// Pixel of the images in which a table counts its positions: tables of particles tell it in their optics.
Angstrom pixel_of_positions(const io::StarFile& file, const io::StarTable& table) {
  if (!table.has("rlnImageName") || file.find_table("optics") == nullptr) return 0_A;
  const auto optics = io::read_optics(file, table);
  const auto first = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(0))).micrograph_pixel_size;
  for (const auto group : optics.group_of_row)
    if (optics.groups.at(static_cast<std::size_t>(group)).micrograph_pixel_size != first)
      throw Error(ErrorCode::bad_input, "{}: its positions count in pixels of different sizes; take one at a time",
                  file.source);
  return first;
}

/// One record for each micrograph that the table names, in the order of their first rows; one in all if it names none.
std::vector<FileRecord> coordinates_from(const fs::path& path, const Json& settings) {
  const auto file = io::read_star(path);
  const auto& table = file.table_with("rlnCoordinateX");
  std::vector<std::pair<std::string, int>> counts;
  std::map<std::string, std::size_t, std::less<>> place;
  const auto column = table.find_column("rlnMicrographName");
  if (!column || table.rows() == 0) counts.emplace_back("", static_cast<int>(table.rows()));
  for (std::size_t row = 0; column && row < table.rows(); ++row) {
    const std::string name(table.text(row, *column));
    const auto [found, is_new] = place.emplace(name, counts.size());
    if (is_new) counts.emplace_back(name, 0);
    ++counts[found->second].second;
  }
  std::vector<FileRecord> records;
  for (const auto& [micrograph, count] : counts) {
    Coordinates coordinates;
    coordinates.coordinates = path.string();
    coordinates.count = count;
    coordinates.micrograph = micrograph;
    coordinates.name = micrograph.empty() ? path.stem().string() : fs::path(micrograph).filename().string();
    if (table.rows() > 0) coordinates.pixel_size = pixel_of_positions(file, table);
    records.push_back(
        finish(coordinates, settings, area_name(micrograph.empty() ? path.string() : micrograph), path.string()));
    records.back().micrograph = micrograph;
  }
  return records;
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
  particles.phase_flipped =
      std::any_of(group.optics.further.begin(), group.optics.further.end(),
                  [](const auto& column) { return column[0] == "rlnCtfDataArePhaseFlipped" && column[1] == "1"; });
  const auto info = io::read_info(particles.stack);
  particles.box = info.nx;
  particles.pixel_size =
      known_pixel_size(group.pixel_size() > 0_A ? group.pixel_size() : info.pixel_size, settings, path);
  return finish(particles, settings, area_name(path.string()), path.string());
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
  auto record = finish(classes, settings, area_name(path.string()), path.string());
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
  return finish(volume, settings, area_name(path.string()), path.string());
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
    if (const auto* known = find_kind(kind))
      if (const auto problems = known->problems(object); !problems.empty())
        throw Error(ErrorCode::bad_input, "{}: {}", path.string(), problems.front());
    const auto name = item_name(kind, object);
    records.push_back({area_name(name), std::move(object)});
  }
  return records;
}

/// The STAR files in a folder and below that hold records of a kind, by name.
std::vector<fs::path> star_files_of(const std::string& kind, const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied))
    if (is_star(entry.path()) && entry.is_regular_file() && may_hold(kind, entry.path())) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<FileRecord> from_folder(const std::string& kind, const fs::path& folder, const Json& settings) {
  std::vector<FileRecord> records;
  for (const auto& file : star_files_of(kind, folder))
    for (auto& record : records_from_file(kind, file, settings)) records.push_back(std::move(record));
  if (records.empty())
    throw Error(ErrorCode::bad_input, "{}: no STAR file in this folder holds {}", folder.string(), kind);
  return records;
}

// How each kind is read: from an image file, from a STAR file. A kind without such a function comes from JSON alone.
std::vector<FileRecord> from_image(Type<Movie>, const fs::path& path, const Json& settings) {
  return {movie_from(path, settings)};
}
std::vector<FileRecord> from_image(Type<Micrograph>, const fs::path& path, const Json& settings) {
  return {micrograph_from(path, settings)};
}
std::vector<FileRecord> from_image(Type<MicrographMask>, const fs::path& path, const Json& settings) {
  return {mask_from(path, settings)};
}
std::vector<FileRecord> from_image(Type<VolumeMap>, const fs::path& path, const Json& settings) {
  return {volume_from(path, settings)};
}
std::vector<FileRecord> from_star(Type<Micrograph>, const fs::path& path, const Json& settings) {
  return micrographs_from_star(path, settings);
}
std::vector<FileRecord> from_star(Type<Motion>, const fs::path& path, const Json& settings) {
  return {motion_from(path, settings)};
}
std::vector<FileRecord> from_star(Type<CtfFit>, const fs::path& path, const Json& settings) {
  return ctf_fits_from_star(path, settings);
}
std::vector<FileRecord> from_star(Type<Coordinates>, const fs::path& path, const Json& settings) {
  return coordinates_from(path, settings);
}
std::vector<FileRecord> from_star(Type<Particles>, const fs::path& path, const Json& settings) {
  return {particles_from(path, settings)};
}
std::vector<FileRecord> from_star(Type<Classes>, const fs::path& path, const Json& settings) {
  return {classes_from(path, settings)};
}

template <class R>
std::vector<FileRecord> from_file(Type<R> type, const fs::path& path, const Json& settings) {
  constexpr bool image = requires { from_image(type, path, settings); };
  constexpr bool star = requires { from_star(type, path, settings); };
  if constexpr (star)
    if (is_star(path)) return from_star(type, path, settings);
  if constexpr (image) {
    if (is_star(path)) throw Error(ErrorCode::bad_input, "{}: {} are read from image files", path.string(), R::kind);
    return from_image(type, path, settings);
  }
  if constexpr (star && !image)
    throw Error(ErrorCode::bad_input, "{}: {} are read from STAR or JSON files", path.string(), R::kind);
  throw Error(ErrorCode::bad_input, "{}: {} records are read from JSON files, as --json prints them", path.string(),
              R::kind);
}

}  // namespace

std::vector<FieldInfo> settable_fields(const std::string& kind) {
  std::vector<FieldInfo> list;
  visit_record(kind, [&]<class R>(Type<R>) {
    const auto& names = KindTraits<R>::facts.settable;
    for (const auto& field : infos_of<R>())
      if (std::find(names.begin(), names.end(), field.name) != names.end()) list.push_back(field);
    if constexpr (requires(R r) { r.optics; })
      if (!names.front().empty())
        for (const auto& field : infos_of<Optics>())
          if (field.name != "further") list.push_back(field);  // comes with tables alone
  });
  return list;
}

bool may_hold(const std::string& kind, const fs::path& path) {
  if (fs::is_directory(path)) return !star_files_of(kind, path).empty();
  if (is_json(path)) return !from_json_file(kind, path).empty();
  const auto* known = find_kind(kind);
  if (known == nullptr) return false;
  if (!is_star(path)) return known->facts.is_image;
  if (known->facts.star_label.empty()) return false;
  const auto file = io::read_star(path);
  const auto has = [&](std::string_view label) {
    return std::any_of(file.tables.begin(), file.tables.end(), [&](const io::StarTable& t) { return t.has(label); });
  };
  const auto& without = known->facts.star_without;
  return has(known->facts.star_label) && std::none_of(without.begin(), without.end(), [&](std::string_view label) {
           return !label.empty() && has(label);
         });
}

std::vector<FileRecord> records_from_file(const std::string& kind, const fs::path& path, const Json& settings) {
  if (!fs::exists(path)) throw Error(ErrorCode::not_found, "{}: there is no such file", path.string());
  if (fs::is_directory(path)) return from_folder(kind, path, settings);
  if (is_json(path)) return from_json_file(kind, path);
  std::vector<FileRecord> records;
  if (!visit_record(kind, [&](auto type) { records = from_file(type, path, settings); }))
    throw Error(ErrorCode::bad_input, "{}: {} records are read from JSON files, as --json prints them", path.string(),
                kind);
  return records;
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
