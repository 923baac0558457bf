#include "frazil/model/kinds.hpp"

#include "frazil/model/records.hpp"

namespace frazil {
namespace {

template <class Record>
Kind kind_of(std::vector<std::string_view> files) {
  return {Record::kind, std::move(files), describe<Record>(),
          [](const Json& record) { return record_to_json(record_from_json<Record>(record)); }};
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> list = {
      kind_of<Movie>({"path", "gain", "defects"}),
      kind_of<Micrograph>({"path", "thumbnail"}),
      kind_of<Motion>(
          {"movie", "micrograph", "micrograph_dw", "motion_field", "local_model", "spectra", "star", "plot"}),
      kind_of<CtfFit>({"micrograph", "power_spectrum", "star", "profile"}),
      kind_of<Spectra>({"movie", "micrograph", "path"}),
      kind_of<CtfConsensus>({"micrograph", "star"}),
      kind_of<CtfTrend>({}),
      kind_of<CtfAssessment>({"micrograph"}),
      kind_of<Coordinates>({"micrograph", "coordinates", "picture"}),
      kind_of<Particles>({"star", "stack", "micrograph"}),
      kind_of<Classes>({"star", "averages", "particles", "state"}),
      kind_of<VolumeMap>({"volume", "half1", "half2", "star", "fsc"}),
  };
  return list;
}

const Kind* find_kind(std::string_view name) {
  for (const auto& kind : kinds())
    if (kind.name == name) return &kind;
  return nullptr;
}

void rename_files(std::string_view kind, Json& record, const std::function<std::string(const std::string&)>& rename) {
  const auto* known = find_kind(kind);
  if (known == nullptr) return;
  for (const auto field : known->files)
    if (const auto found = record.find(field); found != record.end() && found->is_string())
      if (const auto name = found->get<std::string>(); !name.empty()) *found = rename(name);
}

std::vector<std::string> files_of(std::string_view kind, const Json& record) {
  std::vector<std::string> files;
  Json copy = record;
  rename_files(kind, copy, [&](const std::string& name) {
    files.push_back(name);
    return name;
  });
  return files;
}

}  // namespace frazil
