#include "frazil/protocols/import.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <sstream>

#include "frazil/base/files.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/session_metadata.hpp"
#include "frazil/io/star.hpp"
#include "frazil/protocols/contradictions.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

flow::FileCheck check_image(const std::filesystem::path& path) {
  const auto found = io::check_complete(path);
  switch (found.state) {
    case io::FileState::complete:
      return {flow::FileCheck::State::complete, found.reason, found.is_doubtful};
    case io::FileState::growing:
      return {flow::FileCheck::State::growing, found.reason};
    case io::FileState::broken:
      break;
  }
  return {flow::FileCheck::State::broken, found.reason};
}

/// Files of one frame whose names say that they are no movies, in lower case: references as SerialEM and others name
/// them.
bool is_reference_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array beginnings{"countref", "superref", "gainref", "gain_", "gain.", "darkref", "dark_", "defects"};
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const char* start) { return name.starts_with(start); }) ||
         name.find("gain_reference") != std::string::npos || name.find("gainref") != std::string::npos;
}

/// The movie of the exposure that a file of one frame is the sum of, as EPU and others name the two; empty: none.
std::filesystem::path movie_of_sum(const std::filesystem::path& sum) {
  constexpr std::array endings{"_Fractions", "_fractions", "-Fractions", "_EER", "_eer", "_frames", "_movie", "_Movie"};
  constexpr std::array extensions{".tiff", ".tif", ".eer", ".mrc", ".mrcs"};
  const auto stem = sum.parent_path() / sum.stem();
  std::error_code ignored;
  for (const auto* extension : extensions) {
    for (const auto* ending : endings)
      if (const std::filesystem::path movie = stem.string() + ending + extension;
          std::filesystem::is_regular_file(movie, ignored))
        return movie;
    const std::filesystem::path twin = stem.string() + extension;
    if (twin != sum && std::filesystem::is_regular_file(twin, ignored)) return twin;
  }
  return {};
}

/// More frames than one, or a file still being written that may become so.
bool may_be_movie(const std::filesystem::path& path) {
  try {
    return io::read_info(path).nz > 1;
  } catch (const Error&) {
    return true;
  }
}

/// Was written in the last minute, as far as the clocks of this machine and of the file server agree.
bool is_fresh(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto age = std::filesystem::file_time_type::clock::now() - std::filesystem::last_write_time(path, ignored);
  return age < std::chrono::minutes(1);
}

/// What a whole file of one frame is among movies.
flow::FileCheck check_single_frame(const std::filesystem::path& path) {
  using State = flow::FileCheck::State;
  const auto name = path.filename().string();
  if (is_reference_name(name))
    return {State::left_out, "left out: one frame, and its name is that of a reference of the camera"};
  if (const auto movie = movie_of_sum(path); !movie.empty() && may_be_movie(movie))
    return {State::left_out, "left out: one frame, the sum of " + movie.filename().string()};
  if (io::parse_epu_name(path) && is_fresh(path))
    return {State::growing, path.string() + ": one frame: waits for the movie of its exposure"};
  return {};
}

/// The record of a file as a step on files makes it, renamed to what the project calls the file.
template <class Record>
Record one_record(const std::filesystem::path& path, const Json& settings) {
  const auto list = records_from_file(std::string(Record::kind), path, settings);
  if (list.size() != 1)
    throw Error(ErrorCode::bad_input, "{}: expected one {}, found {}", path.string(), Record::kind, list.size());
  return record_from_json<Record>(list.front().record);
}

/// Patterns from a list with commas, or from the lines of a file; lines that begin with # are comments.
std::vector<std::string> patterns_of(const std::string& exclude) {
  std::error_code ignored;
  const bool is_file = std::filesystem::is_regular_file(exclude, ignored);
  std::istringstream parts(is_file ? read_text(exclude) : exclude);
  std::vector<std::string> patterns;
  for (std::string part; std::getline(parts, part, is_file ? '\n' : ',');) {
    const auto first = part.find_first_not_of(" \t\r");
    if (first == std::string::npos || part[first] == '#') continue;
    patterns.push_back(part.substr(first, part.find_last_not_of(" \t\r") + 1 - first));
  }
  return patterns;
}

Finding nothing_left_out(const std::string& by, const std::string& why) {
  return {.kind = AlarmKind::files,
          .about = "exclude " + by,
          .text = "exclude: " + why,
          .advice = "correct exclude and give the run line again"};
}

/// Takes `exclude` into a watch. A project opens without its lists, wherever it was moved to; what then leaves nothing
/// out is said.
void leave_out(flow::Watch& watch, const std::string& exclude) {
  try {
    watch.exclude = patterns_of(exclude);
  } catch (const Error& error) {
    watch.notes.push_back(nothing_left_out(exclude, fmt::format("{}: nothing is left out", error.what())));
    return;
  }
  if (std::error_code ignored; std::filesystem::is_regular_file(exclude, ignored)) return;
  const bool any_name =
      watch.files.find_first_of("*?[") != std::string::npos;  // what is watched is then no matter of extensions
  for (const auto& pattern : watch.exclude) {
    if (pattern.find_first_of("*?[") != std::string::npos) continue;
    const std::filesystem::path path(pattern);
    auto extension = path.extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool is_image =
        std::find(watch.extensions.begin(), watch.extensions.end(), extension) != watch.extensions.end();
    if (path.is_absolute() || !(is_image || any_name))
      watch.notes.push_back(nothing_left_out(
          pattern,
          fmt::format("there is no list {}, and no file that is watched can have this name: it leaves nothing out",
                      pattern)));
  }
}

template <class Params>
Json optics_settings(const Params& params) {
  Json settings = {{"voltage", params.voltage.value()},
                   {"cs", params.cs.value()},
                   {"amplitude_contrast", params.amplitude_contrast}};
  if (params.pixel_size > 0_A) settings["pixel_size"] = params.pixel_size.value();
  return settings;
}

/// What EPU's name says; names of results begin with those of folders.
std::optional<ExposureInfo> exposure_named(const std::filesystem::path& path) {
  const auto name = path.filename().string();
  const auto start = name.find("FoilHole_");
  return start == std::string::npos ? std::nullopt : io::parse_epu_name(path.parent_path() / name.substr(start));
}

/// "9015883-9017347-154915": hole, shot and time of day. Empty for other names.
std::string short_epu_name(const std::string& path) {
  const auto exposure = exposure_named(path);
  if (!exposure || exposure->acquired.size() < 19) return {};
  const auto& time = exposure->acquired;  // "2025-01-08T15:49:15"
  return fmt::format("{}-{}-{}{}{}", exposure->hole, exposure->shot, time.substr(11, 2), time.substr(14, 2),
                     time.substr(17, 2));
}

}  // namespace

flow::Watch ImportMovies::watch() const {
  flow::Watch watch{.files = params.movies,
                    .extensions = {".mrc", ".mrcs", ".tif", ".tiff", ".eer"},
                    .expected = params.expected,
                    .idle_s = params.idle.value(),
                    .patience_s = params.patience.value(),
                    .companion_s = params.metadata_wait.value()};
  leave_out(watch, params.exclude);
  if (!params.gain.empty()) watch.apart.emplace_back(params.gain, "the gain reference");
  if (!params.defects.empty()) watch.apart.emplace_back(params.defects, "the list of defects");
  return watch;
}
bool ImportMovies::has_companion(const std::filesystem::path& path) const {
  return io::has_metadata_file(path, params.metadata);
}
std::vector<Finding> ImportMovies::contradictions(const Movie& movie) const {
  return protocols::contradictions(movie, params);
}
std::vector<flow::ToldValue> ImportMovies::told(const Movie& movie) const { return told_values(movie, params); }
flow::FileCheck ImportMovies::check(const std::filesystem::path& path) {
  auto found = check_image(path);
  if (found.state != flow::FileCheck::State::complete) return found;
  const auto extension = path.extension();
  if (extension == ".eer") return found;
  const auto info = io::read_info(path);
  if (info.nz == 1)
    if (auto single = check_single_frame(path); single.state != flow::FileCheck::State::complete) return single;
  // Maps lie beside movies where a simulator or a user left them; no camera has as many rows as a movie has frames.
  if (info.is_volume && info.nx == info.ny && info.ny == info.nz)
    return {flow::FileCheck::State::broken,
            fmt::format("{}: expected a movie, found a map of {}³ voxels", path.string(), info.nx)};
  return found;
}
Movie ImportMovies::record(const std::filesystem::path& path, const std::string& reference) const {
  auto settings = optics_settings(params);
  if (params.dose_per_frame) settings["dose_per_frame"] = params.dose_per_frame->value();
  settings["pre_exposure"] = params.pre_exposure.value();
  settings["eer_grid"] = name_of(params.eer_grid);
  settings["eer_dose_per_fraction"] = params.eer_dose_per_fraction.value();
  settings["eer_frames_per_fraction"] = params.eer_frames_per_fraction;
  settings["gain"] = params.gain;
  settings["defects"] = params.defects;
  auto movie = one_record<Movie>(path, settings);
  movie.path = reference;
  movie.optics.magnification = params.magnification;
  if (auto exposure = io::find_exposure_info(path, params.metadata)) {
    exposure->file_pixel_size_A = movie.exposure.file_pixel_size_A;
    exposure->file_dose_e_per_A2 = movie.exposure.file_dose_e_per_A2;
    movie.exposure = std::move(*exposure);
    movie.optics.optics_group = io::beam_shift_group(movie.exposure);
  }
  if (!params.dose_per_frame && !(movie.dose_per_frame > 0_e_per_A2)) movie.dose_per_frame = told_dose(movie);
  return movie;
}

flow::Watch ImportMicrographs::watch() const {
  flow::Watch watch{.files = params.micrographs,
                    .extensions = {".mrc", ".tif", ".tiff"},
                    .expected = params.expected,
                    .idle_s = params.idle.value()};
  leave_out(watch, params.exclude);
  return watch;
}
flow::FileCheck ImportMicrographs::check(const std::filesystem::path& path) { return check_image(path); }
Micrograph ImportMicrographs::record(const std::filesystem::path& path, const std::string& reference) const {
  auto micrograph = one_record<Micrograph>(path, optics_settings(params));
  micrograph.path = reference;
  if (const auto exposure = exposure_named(path)) micrograph.optics.optics_group = io::beam_shift_group(*exposure);
  return micrograph;
}
std::string ImportMicrographs::short_name(const std::string& path) { return short_epu_name(path); }
std::string ImportMovies::short_name(const std::string& path) { return short_epu_name(path); }

/// What the simulator knows of its particles lies beside them, and is not for the pipeline.
flow::Watch ImportParticles::watch() const {
  return {.files = params.particles, .extensions = {".star"}, .expected = params.expected, .exclude = {"truth.star"}};
}
flow::FileCheck ImportParticles::check(const std::filesystem::path& path) {
  try {
    (void)io::read_star(path).table_with("rlnImageName");
    return {};
  } catch (const Error& error) {  // a table still being written looks like a damaged one
    return {flow::FileCheck::State::growing, error.what()};
  }
}
Particles ImportParticles::record(const std::filesystem::path& path, const std::string& reference) const {
  Json settings = Json::object();
  if (params.diameter > 0_A) settings["diameter"] = params.diameter.value();
  auto particles = one_record<Particles>(path, settings);
  particles.star = reference;
  return particles;
}

template flow::Protocol protocol_of<ImportMovies>();
template flow::Protocol protocol_of<ImportMicrographs>();
template flow::Protocol protocol_of<ImportParticles>();

}  // namespace frazil::protocols
