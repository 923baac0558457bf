#include "frazil/model/kinds.hpp"

#include <array>
#include <span>

namespace frazil {
namespace {

template <class Record>
Kind kind_of() {
  Kind kind{Record::kind,
            KindTraits<Record>::facts,
            describe<Record>(),
            {},
            [](const Json& record) { return record_to_json(record_from_json<Record>(record)); },
            [](const Json& record) { return record_problems<Record>(record); }};
  for (const auto& field : kind.fields)
    if (field.file) kind.files.push_back(field.name + field.suffix);
  return kind;
}

std::string text_at(const Json& record, std::string_view key) {
  const auto found = key.empty() ? record.end() : record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const auto list = [] {
    std::vector<Kind> all;
    each_record([&]<class R>(Type<R>) { all.push_back(kind_of<R>()); });
    return all;
  }();
  return list;
}

std::string naming_field(std::string_view kind, const Json& record) {
  constexpr std::array<std::string_view, 6> usual = {"movie", "micrograph", "path", "name", "star", "volume"};
  const auto* known = find_kind(kind);
  const auto names = known != nullptr ? std::span<const std::string_view>(known->facts.names) : usual;
  for (const auto name : names)
    if (!text_at(record, name).empty()) return std::string(name);
  return {};
}

std::string item_name(std::string_view kind, const Json& record) {
  auto name = text_at(record, "name");
  return name.empty() ? text_at(record, naming_field(kind, record)) : name;
}

const Kind* find_kind(std::string_view name) {
  for (const auto& kind : kinds())
    if (kind.name == name) return &kind;
  return nullptr;
}

void rename_files(std::string_view kind, Json& record, const std::function<std::string(const std::string&)>& rename) {
  const auto* known = find_kind(kind);
  if (known == nullptr) return;
  for (const auto& field : known->files)
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
