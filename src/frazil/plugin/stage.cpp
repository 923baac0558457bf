#include "frazil/plugin/stage.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

bool is_star(const fs::path& path) { return path.extension() == ".star"; }
bool is_image(const fs::path& path) {
  return path.extension() == ".mrc" || path.extension() == ".mrcs" || path.extension() == ".tif" ||
         path.extension() == ".tiff";
}

/// "3@x.mrcs" → "3@", "x.mrcs".
std::pair<std::string, std::string> split(std::string_view cell) {
  const auto at = cell.find('@');
  return at == std::string_view::npos
             ? std::pair{std::string(), std::string(cell)}
             : std::pair{std::string(cell.substr(0, at + 1)), std::string(cell.substr(at + 1))};
}

/// Replaces the names of files in all tables; `rename` is asked once a name.
template <class Rename>
void rename_in(io::StarFile& star, const Rename& rename) {
  std::map<std::string, std::string> known;
  for (auto& table : star.tables)
    for (int column = 0; column < table.columns(); ++column) {
      if (!names_a_file(table.labels()[static_cast<std::size_t>(column)])) continue;
      for (std::size_t row = 0; row < table.rows(); ++row) {
        const auto [prefix, name] = split(table.text(row, column));
        if (name.empty() || name == "None") continue;
        auto found = known.find(name);
        if (found == known.end()) found = known.emplace(name, rename(name)).first;
        if (found->second != name) table.set(row, column, std::string_view(prefix + found->second));
      }
    }
}

void check_image(const fs::path& path) {
  const io::StackReader reader(path);
  for (int section = 0; section < reader.info().nz; ++section) {
    const auto image = reader.read(section);
    for (const float value : image.pixels())
      if (!std::isfinite(value))
        throw Error(ErrorCode::external, "{}: section {} holds values that are not finite", path.filename().string(),
                    section + 1);
  }
}

}  // namespace

bool names_a_file(std::string_view label) {
  static constexpr std::array labels = {"rlnImageName",
                                        "rlnMicrographName",
                                        "rlnMicrographMovieName",
                                        "rlnMicrographMetadata",
                                        "rlnMicrographGainName",
                                        "rlnMicrographDefectFile",
                                        "rlnMicrographCoordinates",
                                        "rlnMicrographNameNoDW",
                                        "rlnReferenceImage",
                                        "rlnCtfImage",
                                        "rlnCtfPowerSpectrum",
                                        "rlnImageOriginalName",
                                        "rlnMaskName"};
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

Stage::Stage(fs::path work, flow::Context& context) : work_(std::move(work)), context_(context) {
  make_folders(work_ / "inputs");
}

/// A file that a table names: of the project, or found from the table's own place. Unknown names stay as they are.
std::string Stage::resolve(const fs::path& star, const std::string& named) {
  auto path = context_.input(named);
  if (!fs::exists(path)) path = protocols::find_named(star, named);
  if (!fs::exists(path)) return named;
  const auto absolute = fs::absolute(path).lexically_normal().string();
  original_.emplace(absolute, named);
  return absolute;
}

std::string Stage::stage(const std::string& reference) {
  const auto path = fs::absolute(context_.input(reference)).lexically_normal();
  if (!fs::exists(path)) {
    original_.emplace(path.string(), reference);
    return path.string();
  }
  if (!is_star(path)) {
    original_.emplace(path.string(), reference);
    return path.string();
  }
  if (const auto known = staged_.find(reference); known != staged_.end()) return known->second;
  auto star = io::read_star(path);
  rename_in(star, [&](const std::string& name) { return resolve(path, name); });
  const auto copy = work_ / "inputs" / fmt::format("{}_{}", staged_.size() + 1, path.filename().string());
  io::write_star(copy, star);
  original_.emplace(copy.string(), reference);
  return staged_[reference] = copy.string();
}

Json Stage::records(const std::vector<flow::PortInfo>& ports, const flow::Records& records) {
  Json all = Json::object();
  for (const auto& [port, list] : records) {
    const auto info =
        std::find_if(ports.begin(), ports.end(), [&, name = port](const flow::PortInfo& p) { return p.name == name; });
    auto& target = all[port] = Json::array();
    for (auto record : list) {
      if (info != ports.end()) rename_files(info->kind, record, [&](const std::string& name) { return stage(name); });
      target.push_back(std::move(record));
    }
  }
  return all;
}

std::string Stage::original(const fs::path& path) const {
  const auto found = original_.find(path.lexically_normal().string());
  return found == original_.end() ? std::string() : found->second;
}

std::string Collector::free_name(const fs::path& path) {
  const auto name = path.filename().string();
  const auto [found, is_new] = names_.emplace(name, path.string());
  if (!is_new)
    throw Error(ErrorCode::external, "two output files have the name {}: {} and {}", name, found->second,
                path.string());
  return name;
}

std::string Collector::keep_star(const fs::path& path, const std::string& name) {
  auto star = io::read_star(path);
  rename_in(star, [&](const std::string& named) {
    const fs::path inner = fs::path(named).is_absolute() ? fs::path(named) : stage_.work() / named;
    if (const auto original = stage_.original(inner); !original.empty()) return original;
    return fs::exists(inner) ? keep(named, {}) : named;
  });
  io::write_star(context_.output(name), star);
  return context_.reference(name);
}

/// Moves a file of the working folder to the outputs.
std::string Collector::keep(const std::string& named, std::string_view kind) {
  const auto path = (fs::path(named).is_absolute() ? fs::path(named) : stage_.work() / named).lexically_normal();
  if (auto original = stage_.original(path); !original.empty()) return original;
  const auto place = path.lexically_relative(stage_.work()).string();
  if (place.empty() || place.starts_with(".."))
    throw Error(ErrorCode::external, "{}: a result must lie in the working folder", path.string());
  if (const auto known = kept_.find(path.string()); known != kept_.end()) return known->second;
  if (!fs::is_regular_file(path))
    throw Error(ErrorCode::external, "{}: the file of this {} was not written", named, kind.empty() ? "table" : kind);
  if (fs::file_size(path) == 0)
    throw Error(ErrorCode::external, "{}: the file of this {} is empty", named, kind.empty() ? "table" : kind);
  const auto name = free_name(path);
  if (is_star(path)) return kept_[path.string()] = keep_star(path, name);
  if (is_image(path)) check_image(path);
  const auto to = context_.output(name);
  std::error_code error;
  const bool is_link = fs::is_symlink(path);  // what it leads to may go: the working folder, or the files acquired
  if (!is_link) fs::rename(path, to, error);
  if (is_link || error) fs::copy_file(path, to, fs::copy_options::overwrite_existing);  // or on another file system
  return kept_[path.string()] = context_.reference(name);
}

Json Collector::collect(std::string_view kind, Json record) {
  rename_files(kind, record, [&](const std::string& named) { return keep(named, kind); });
  return record;
}

}  // namespace frazil::plugin
