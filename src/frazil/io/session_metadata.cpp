#include "frazil/io/session_metadata.hpp"

#include <expat.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <numbers>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/utf8.hpp"

namespace frazil::io {
namespace {

namespace fs = std::filesystem;

std::optional<double> number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// A number above zero: programs write 0 for what they do not know.
std::optional<double> positive(std::string_view text) {
  const auto value = number(text);
  return value && *value > 0 ? value : std::nullopt;
}

std::optional<double> times(std::optional<double> value, double factor) {
  return value ? std::optional(*value * factor) : std::nullopt;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts{{}};
  for (const char c : text) {
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Collects the few values of interest while expat reads.
struct EpuReader {
  std::vector<std::string> path;
  std::string text, key;
  bool is_exposure = false;
  ExposureInfo info;

  static std::string_view local_name(std::string_view name) { return name.substr(name.rfind('|') + 1); }

  [[nodiscard]] bool at(std::initializer_list<std::string_view> end) const {
    return path.size() >= end.size() &&
           std::equal(end.begin(), end.end(), path.end() - static_cast<std::ptrdiff_t>(end.size()));
  }
  void open(std::string_view name) {
    path.emplace_back(local_name(name));
    is_exposure = is_exposure || path.front() == "MicroscopeImage";
    text.clear();
  }
  void close() {
    if (at({"Position", "X"}))
      info.stage_x_um = times(number(text), 1e6);
    else if (at({"Position", "Y"}))
      info.stage_y_um = times(number(text), 1e6);
    else if (at({"Position", "Z"}))
      info.stage_z_um = times(number(text), 1e6);
    else if (at({"Position", "A"}))
      info.stage_tilt_deg = times(number(text), 180 / std::numbers::pi);
    else if (at({"optics", "BeamShift", "_x"}))
      info.beam_shift_x = number(text);
    else if (at({"optics", "BeamShift", "_y"}))
      info.beam_shift_y = number(text);
    else if (at({"gun", "AccelerationVoltage"}))
      info.voltage_kV = times(number(text), 1e-3);
    else if (at({"acquisition", "acquisitionDateTime"}))
      info.acquired = text;
    else if (at({"pixelSize", "x", "numericValue"}))
      info.pixel_size_A = times(positive(text), 1e10);
    else if (at({"camera", "ReadoutArea", "width"}))
      info.image_width_px = positive(text);
    else if (at({"NumberOffractions"}))
      info.frames = positive(text);
    else if (at({"KeyValueOfstringanyType", "Key"}))
      key = text;
    else if (at({"KeyValueOfstringanyType", "Value"}) && key == "AppliedDefocus")
      info.applied_defocus_um = times(number(text), 1e6);
    else if (at({"KeyValueOfstringanyType", "Value"}) && key == "Dose")
      info.dose_e_per_A2 = times(positive(text), 1e-20);  // per m²
    path.pop_back();
    text.clear();
  }
};

/// Takes over what `more` knows.
void merge(ExposureInfo& into, const ExposureInfo& more) {
  const auto take = [](auto& to, const auto& from) {
    if (from != std::remove_cvref_t<decltype(from)>{}) to = from;
  };
  take(into.grid_square, more.grid_square);
  take(into.hole, more.hole);
  take(into.shot, more.shot);
  take(into.acquired, more.acquired);
  take(into.stage_x_um, more.stage_x_um);
  take(into.stage_y_um, more.stage_y_um);
  take(into.stage_z_um, more.stage_z_um);
  take(into.beam_shift_x, more.beam_shift_x);
  take(into.beam_shift_y, more.beam_shift_y);
  take(into.applied_defocus_um, more.applied_defocus_um);
  take(into.stage_tilt_deg, more.stage_tilt_deg);
  take(into.pixel_size_A, more.pixel_size_A);
  take(into.voltage_kV, more.voltage_kV);
  take(into.image_width_px, more.image_width_px);
  take(into.dose_e_per_A2, more.dose_e_per_A2);
  take(into.frames, more.frames);
  take(into.metadata, more.metadata);
}

/// "FoilHole_…_061329_fractions.tiff" → "FoilHole_…_061329": the name of the exposure's other files.
std::string epu_stem(const fs::path& movie) {
  auto stem = movie.stem().string();
  for (const auto* ending : {"_fractions", "_Fractions", "_EER", "_eer"})
    if (stem.ends_with(ending)) stem = stem.substr(0, stem.size() - std::string_view(ending).size());
  return stem;
}

constexpr std::uintmax_t most_bytes = 64U << 20;  // of one exposure they have kilobytes

/// @throws Error(corrupt) for a file that cannot be what its name says
std::string metadata_text(const fs::path& file) {
  std::error_code error;
  if (const auto bytes = fs::file_size(file, error); !error && bytes > most_bytes)
    throw Error(ErrorCode::corrupt, "{}: {} bytes are too many for metadata of one exposure", file.string(), bytes);
  auto text = read_text(file);
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) return text;  // UTF-16: XML says so itself
  return as_utf8(text);  // SerialEM writes the letters of its Windows
}

/// What the metadata file of a movie says; empty: there is none that can be read.
std::optional<ExposureInfo> read_metadata_file(const fs::path& movie, const fs::path& metadata, bool is_epu) {
  std::optional<ExposureInfo> info;
  const auto take = [&](const fs::path& file, auto parse) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) return false;
    try {
      info = parse(metadata_text(file), file.string());
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  const auto take_from = [&](const fs::path& folder) {
    return (is_epu && take(folder / (epu_stem(movie) + ".xml"), parse_epu_xml)) ||
           take(folder / (movie.filename().string() + ".mdoc"), parse_mdoc);
  };
  if (take_from(movie.parent_path()) || metadata.empty()) return info;
  std::vector<fs::path> parts;
  for (const auto& part : movie.parent_path().relative_path()) parts.push_back(part);
  for (std::size_t first = 0; first <= parts.size(); ++first) {
    auto folder = metadata;
    for (auto i = first; i < parts.size(); ++i) folder /= parts[i];
    if (take_from(folder)) break;
  }
  return info;
}

/// "0.99 35" or "0.5 10 1 20": exposure of a frame and how many had it, again and again.
void read_frame_doses(const std::vector<std::string>& parts, ExposureInfo& info) {
  double dose = 0, frames = 0;
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
    const auto each = number(parts[i]), count = number(parts[i + 1]);
    if (!each || !count || *each < 0 || *count < 0) return;
    dose += *each * *count;
    frames += *count;
  }
  if (frames > 0) info.frames = frames;
  if (dose > 0) info.dose_e_per_A2 = dose;
}

}  // namespace

std::optional<ExposureInfo> parse_epu_name(const fs::path& path) {
  const auto parts = split(printable_name(path.stem().string()), '_');
  if (parts.size() < 6 || parts[0] != "FoilHole" || parts[2] != "Data" || !is_digits(parts[1])) return std::nullopt;
  ExposureInfo info;
  info.hole = parts[1];
  std::vector<std::string> numbers;  // the shot, a counter, date and time
  for (std::size_t i = 3; i < parts.size() && is_digits(parts[i]); ++i) numbers.push_back(parts[i]);
  if (numbers.size() < 3) return std::nullopt;
  info.shot = numbers.front();
  const auto &date = numbers[numbers.size() - 2], &time = numbers.back();
  if (date.size() == 8 && time.size() == 6)
    info.acquired = fmt::format("{}-{}-{}T{}:{}:{}", date.substr(0, 4), date.substr(4, 2), date.substr(6),
                                time.substr(0, 2), time.substr(2, 2), time.substr(4));
  for (const auto& folder : path.parent_path())
    if (const auto name = printable_name(folder.string()); name.starts_with("GridSquare_"))
      info.grid_square = name.substr(11);
  return info;
}

ExposureInfo parse_epu_xml(std::string_view text, const std::string& name) {
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(XML_ParserCreateNS(nullptr, '|'),
                                                                            &XML_ParserFree);
  if (!parser) throw Error(ErrorCode::resource, "{}: no memory to read it", name);
  EpuReader reader;
  XML_SetUserData(parser.get(), &reader);
  XML_SetElementHandler(
      parser.get(),
      [](void* user, const XML_Char* element, const XML_Char**) { static_cast<EpuReader*>(user)->open(element); },
      [](void* user, const XML_Char*) { static_cast<EpuReader*>(user)->close(); });
  XML_SetCharacterDataHandler(parser.get(), [](void* user, const XML_Char* data, int size) {
    static_cast<EpuReader*>(user)->text.append(data, static_cast<std::size_t>(size));
  });
  if (text.size() > most_bytes ||
      XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), 1) != XML_STATUS_OK)
    throw Error(ErrorCode::corrupt, "{}: line {}: is no well-formed XML: {}", name,
                XML_GetCurrentLineNumber(parser.get()), XML_ErrorString(XML_GetErrorCode(parser.get())));
  if (!reader.is_exposure)
    throw Error(ErrorCode::corrupt, "{}: is no EPU exposure: expected the element MicroscopeImage", name);
  reader.info.metadata = "EPU's XML";
  return reader.info;
}

ExposureInfo parse_mdoc(std::string_view text, const std::string& name) {
  ExposureInfo info;
  info.metadata = "the mdoc file";
  bool any = false;
  for (const auto& line : split(text, '\n')) {
    const auto equals = line.find(" = ");
    if (equals == std::string::npos || line.starts_with("[")) continue;
    const auto key = line.substr(0, equals);
    auto value = line.substr(equals + 3);
    while (!value.empty() && (value.back() == '\r' || value.back() == ' ')) value.pop_back();
    const auto parts = split(value, ' ');
    any = true;
    if (key == "StagePosition" && parts.size() >= 2) {
      info.stage_x_um = number(parts[0]);
      info.stage_y_um = number(parts[1]);
    } else if (key == "StageZ") {
      info.stage_z_um = number(value);
    } else if (key == "ImageShift" && parts.size() >= 2) {
      info.beam_shift_x = number(parts[0]);
      info.beam_shift_y = number(parts[1]);
    } else if (key == "TiltAngle") {
      info.stage_tilt_deg = number(value);
    } else if (key == "TargetDefocus") {
      info.applied_defocus_um = number(value);
    } else if (key == "Voltage") {
      info.voltage_kV = positive(value);
    } else if (key == "PixelSpacing") {
      info.pixel_size_A = positive(value);
    } else if (key == "ExposureDose") {
      if (!info.dose_e_per_A2) info.dose_e_per_A2 = positive(value);
    } else if (key == "NumSubFrames") {
      if (!info.frames) info.frames = positive(value);
    } else if (key == "FrameDosesAndNumber") {
      read_frame_doses(parts, info);
    } else if (key == "DateTime") {
      info.acquired = value;
    } else if (key == "NavigatorLabel") {
      info.grid_square = value;
    } else if (key == "MultishotHoleAndPosition") {
      const auto dash = value.find('-');
      info.hole = value.substr(0, dash);
      info.shot = value;
    }
  }
  if (!any) throw Error(ErrorCode::corrupt, "{}: is no mdoc file: it has no line \"key = value\"", name);
  return info;
}

std::optional<ExposureInfo> find_exposure_info(const fs::path& movie, const fs::path& metadata) {
  auto info = parse_epu_name(movie);
  if (const auto more = read_metadata_file(movie, metadata, info.has_value())) {
    if (!info) info.emplace();
    merge(*info, *more);
  }
  return info;
}

bool has_metadata_file(const fs::path& movie, const fs::path& metadata) {
  return read_metadata_file(movie, metadata, parse_epu_name(movie).has_value()).has_value();
}

std::string beam_shift_group(const ExposureInfo& info) {
  return info.shot.empty() ? std::string() : "shot" + info.shot;
}

}  // namespace frazil::io
