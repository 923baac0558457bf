// Records made from files: how a step that runs alone, and an import, come to their first items.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil::protocols {

/// One record read from a file, and the name under which it meets records of other files.
struct FileRecord {
  std::string area;  ///< name of the recorded area: file name without folders, extension and our suffixes
  Json record;
  std::string micrograph = {};  ///< the image that the file says it belongs to, by path; empty: it does not say
};

/// The fields of a record kind that a user may give as flags (`pixel_size`, `voltage`, …), flattened.
[[nodiscard]] std::vector<FieldInfo> settable_fields(const std::string& kind);

/// Reads `path` as one or more records of `kind`. Movies and images come one a file; STAR tables give one record a
/// row (micrographs, CTF fits), one a micrograph (coordinates) or one a file (particles); a .json or .jsonl file holds
/// records as `--json` printed them; of a folder, all STAR files in it and below that hold the kind. `settings` (name →
/// value, from settable_fields) fill in and override what the file says.
/// @throws Error(bad_input) when the file is of another kind or the pixel size is unknown, and what reading throws
[[nodiscard]] std::vector<FileRecord> records_from_file(const std::string& kind, const std::filesystem::path& path,
                                                        const Json& settings);

/// True when the file could hold records of that kind, judged by extension and, for STAR, by labels; a folder, when a
/// STAR file in it or below does.
[[nodiscard]] bool may_hold(const std::string& kind, const std::filesystem::path& path);

/// Where the file lies that a STAR table names: as it stands, or below the folder of the table or one above it (the
/// root of the run that wrote it); links are followed. Unchanged when there is no such file.
[[nodiscard]] std::filesystem::path find_named(const std::filesystem::path& star, const std::string& named);

/// "x/20170629_0001_DW.mrc" → "20170629_0001".
[[nodiscard]] std::string area_name(const std::string& path);

}  // namespace frazil::protocols
