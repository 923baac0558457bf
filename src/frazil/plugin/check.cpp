#include "frazil/plugin/check.hpp"

#include <cmath>

#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/kinds.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

/// Sets `key`, or compares what stands there already.
void settle(Json& record, const char* key, const Json& found, const std::string& file) {
  const auto said = record.find(key);
  if (said == record.end() || said->is_null()) {
    record[key] = found;
    return;
  }
  const bool same =
      said->is_number() && std::abs(said->get<double>() - found.get<double>()) <= 1e-3 * std::abs(found.get<double>());
  if (!same)
    throw Error(ErrorCode::external, "{}: the result says {} is {}, the file {}", file, key, said->dump(),
                found.dump());
}

fs::path file_of(const Json& record, const char* key, const fs::path& folder) {
  const auto found = record.find(key);
  if (found == record.end() || !found->is_string() || found->get<std::string>().empty()) return {};
  return folder / found->get<std::string>();
}

fs::path needed(std::string_view kind, const Json& record, const char* key, const fs::path& folder) {
  auto path = file_of(record, key, folder);
  if (path.empty()) throw Error(ErrorCode::external, "a result of kind {} must name its file in \"{}\"", kind, key);
  if (!fs::is_regular_file(path))
    throw Error(ErrorCode::external, "{}: the file of this {} was not written", record[key].get<std::string>(), kind);
  return path;
}

// What the files of a result say of it, for the kinds whose files are checked.
void complete_files(Type<Micrograph>, Json& record, const fs::path& folder) {
  const auto path = needed(Micrograph::kind, record, "path", folder);
  const auto info = io::read_info(path);
  if (info.nz != 1)
    throw Error(ErrorCode::external, "{}: a micrograph is one image, this file holds {}", path.filename().string(),
                info.nz);
  settle(record, "nx", info.nx, path.filename().string());
  settle(record, "ny", info.ny, path.filename().string());
  if (!record.contains("pixel_size_A") && info.pixel_size > 0_A) record["pixel_size_A"] = info.pixel_size.value();
}

void complete_files(Type<VolumeMap>, Json& record, const fs::path& folder) {
  const auto path = needed(VolumeMap::kind, record, "volume", folder);
  const auto info = io::read_info(path);
  if (info.nx != info.ny || info.nx != info.nz)
    throw Error(ErrorCode::external, "{}: a volume is a cube, this one has {} × {} × {} voxels",
                path.filename().string(), info.nx, info.ny, info.nz);
  settle(record, "box", info.nx, path.filename().string());
  if (!record.contains("pixel_size_A") && info.pixel_size > 0_A) record["pixel_size_A"] = info.pixel_size.value();
}

/// The numbers that the next steps compute with, where the table has them.
void check_finite(const io::StarTable& table, std::initializer_list<std::string_view> labels) {
  for (const auto label : labels) {
    if (!table.has(label)) continue;
    const auto values = table.numbers(label);
    for (std::size_t row = 0; row < values.size(); ++row)
      if (!std::isfinite(values[row]))
        throw Error(ErrorCode::external, "{}: {} is not finite", table.place(row), label);
  }
}

void complete_files(Type<Coordinates>, Json& record, const fs::path& folder) {
  const auto path = needed(Coordinates::kind, record, "coordinates", folder);
  const auto star = io::read_star(path);
  const auto& table = star.table_with("rlnCoordinateX");
  settle(record, "count", table.rows(), path.filename().string());
  check_finite(table, {"rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"});
}

void complete_files(Type<Particles>, Json& record, const fs::path& folder) {
  const auto path = needed(Particles::kind, record, "star", folder);
  const auto star = io::read_star(path);
  const auto& table = star.table_with("rlnImageName");
  settle(record, "count", table.rows(), path.filename().string());
  check_finite(table,
               {"rlnCoordinateX", "rlnCoordinateY", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift",
                "rlnOriginXAngst", "rlnOriginYAngst", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"});
  const auto stack = file_of(record, "stack", folder);
  if (stack.empty() || table.rows() == 0) return;
  const auto info = io::read_info(stack);
  settle(record, "box", info.nx, stack.filename().string());
  if (static_cast<std::size_t>(info.nz) < table.rows())
    throw Error(ErrorCode::external, "{}: holds {} images, its table names {}", stack.filename().string(), info.nz,
                table.rows());
  if (!record.contains("pixel_size_A") && info.pixel_size > 0_A) record["pixel_size_A"] = info.pixel_size.value();
}

}  // namespace

Json complete(std::string_view kind, Json record, const fs::path& folder) {
  if (!record.is_object())
    throw Error(ErrorCode::external, "a result of kind {} must be an object, not {}", kind, record.dump());
  visit_record(kind, [&](auto type) {
    if constexpr (requires { complete_files(type, record, folder); }) complete_files(type, record, folder);
  });
  const auto* known = find_kind(kind);
  if (known == nullptr) return record;
  if (const auto problems = known->problems(record); !problems.empty())
    throw Error(ErrorCode::external, "the result's {}", problems.front());
  try {
    return known->complete(record);
  } catch (const Error& error) {
    throw Error(ErrorCode::external, "a result of kind {} is not one: {}", kind, error.what());
  }
}

void check_inside(const fs::path& coordinates, int nx, int ny) {
  const auto star = io::read_star(coordinates);
  const auto& table = star.table_with("rlnCoordinateX");
  const auto x = table.numbers("rlnCoordinateX"), y = table.numbers("rlnCoordinateY");
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] < 0 || y[i] < 0 || x[i] > nx - 1 || y[i] > ny - 1)
      throw Error(ErrorCode::external,
                  "{}: position {} ({:g}, {:g}) lies outside its image of {} × {} pixels: are x and y swapped?",
                  coordinates.filename().string(), i + 1, x[i], y[i], nx, ny);
}

}  // namespace frazil::plugin
