// The kinds of records by name: what fields each has, which of them name files, and whether a JSON object is one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"
#include "frazil/params/fields.hpp"

namespace frazil {

/// Every kind of record that protocols of this program exchange: the one list of them.
using RecordTypes =
    Types<Movie, Micrograph, MicrographMask, Motion, CtfFit, Spectra, CtfConsensus, CtfTrend, CtfAssessment,
          Coordinates, Particles, Classes, VolumeMap, Detector, DetectorTrend, GainReference>;

/// Calls `visit(Type<R>{})` for every record type R.
template <class Visit>
void each_record(const Visit& visit) {
  [&]<class... R>(Types<R...>) { (visit(Type<R>{}), ...); }(RecordTypes{});
}

/// Calls `visit(Type<R>{})` for the record type of that kind. @return false: there is none
template <class Visit>
bool visit_record(std::string_view kind, const Visit& visit) {
  bool found = false;
  each_record([&]<class R>(Type<R> type) {
    if (R::kind != kind) return;
    found = true;
    visit(type);
  });
  return found;
}

struct Kind {
  std::string_view name;
  KindFacts facts;
  std::vector<FieldInfo> fields;
  std::vector<std::string> files;  ///< keys of the fields that name a file, or are empty
  /// The record with every field of its kind and no other. @throws Error(bad_input) naming a field of another type
  std::function<Json(const Json& record)> complete;
  /// Sentences on numbers that no record may hold: not finite, or out of their field's range.
  std::function<std::vector<std::string>(const Json& record)> problems;
};

/// Those of RecordTypes. Plugins may add others, of which nothing is known.
[[nodiscard]] const std::vector<Kind>& kinds();
/// Null when there is none of that name.
[[nodiscard]] const Kind* find_kind(std::string_view name);

/// The field that tells which one a record is: the first of its kind's names that is not empty; of an unknown kind, the
/// first usual one. Empty: nothing does.
[[nodiscard]] std::string naming_field(std::string_view kind, const Json& record);
/// The text from which names of results follow: the record's `name`, or else its naming field. Empty: it has none.
[[nodiscard]] std::string item_name(std::string_view kind, const Json& record);

/// The names of files in a record, in the order of its fields; empty ones are left out, and so is everything of an
/// unknown kind.
[[nodiscard]] std::vector<std::string> files_of(std::string_view kind, const Json& record);
/// Replaces the names of files in a record by what `rename` makes of them.
void rename_files(std::string_view kind, Json& record, const std::function<std::string(const std::string&)>& rename);

}  // namespace frazil
