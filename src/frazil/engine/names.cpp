#include "frazil/engine/names.hpp"

#include <algorithm>

#include "frazil/base/utf8.hpp"

namespace frazil::engine {
namespace {

constexpr std::size_t shortest_id = 6;    ///< digits that name an id
constexpr std::size_t shortest_part = 3;  ///< letters that name a part of a name
constexpr int most_with_id = 20;          ///< that are shown for the beginning of an id

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string_view stem(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? name : name.substr(0, dot);
}

bool names_subject(const std::string& text, const SubjectView& subject) {
  if (subject.label == text || subject.name == text || names_path(text, subject.path)) return true;
  return text.size() >= shortest_id && is_hex(text) && subject.id.starts_with(text);
}

bool is_part_of(const std::string& text, const SubjectView& subject) {
  return subject.label.find(text) != std::string::npos || subject.name.find(text) != std::string::npos ||
         subject.path.find(text) != std::string::npos;
}

/// Length of the name of a subject with which the name of a file begins that was made from it; 0: it does not.
std::size_t begins_with_name(std::string_view made, const SubjectView& subject) {
  std::size_t longest = 0;
  for (const auto name : {std::string_view(subject.label), stem(file_name(subject.path))})
    if (!name.empty() && made.starts_with(name) && (made.size() == name.size() || made[name.size()] == '_'))
      longest = std::max(longest, name.size());
  return longest;
}

/// Subjects from which a file was made that bears this name ("steps/…/mic_7_DW.mrc").
std::vector<int> makers_of(const State& state, const std::string& text) {
  const auto made = stem(file_name(text));
  std::vector<int> found;
  std::size_t longest = 1;
  for (int i = 0; i < state.subject_count; ++i) {
    const auto length = begins_with_name(made, state.subject(i));
    if (length < longest) continue;
    if (length > longest) found.clear();
    longest = length;
    found.push_back(i);
  }
  return found;
}

/// "mic_7 (square_3/mic_7.tiff, id 0a1b2c3d)".
std::string describe(const SubjectView& subject) {
  return fmt::format("{} ({}id {})", subject.name, subject.path.empty() ? "" : subject.path + ", ",
                     subject.id.substr(0, 8));
}

}  // namespace

bool names_path(const std::string& text, const std::string& path) {
  if (path.empty()) return false;
  if (text == path || text.ends_with("/" + path)) return true;
  const auto name = file_name(path);
  return text == name || text == stem(name) || text == stem(path);
}

namespace {

Named find_exactly(const State& state, store::Reader& reader, const std::string& text) {
  Named named;
  for (int i = 0; i < state.subject_count; ++i)
    if (names_subject(text, state.subject(i))) named.subjects.push_back(i);
  if (text.size() >= shortest_id && is_hex(text)) named.items = reader.items_with_id(text, most_with_id);
  return named;
}

}  // namespace

Named find_named(const State& state, store::Reader& reader, const std::string& text) {
  if (text.empty())
    throw Error(ErrorCode::bad_input, "which item? Give its name, its file or the first digits of its id");
  const auto shown = printable_name(text);  // as names of files with odd characters are stored
  auto named = find_exactly(state, reader, text);
  if (named.subjects.empty() && named.items.empty() && shown != text) named = find_exactly(state, reader, shown);
  if (!named.subjects.empty() || !named.items.empty() || text.size() < shortest_part) return named;
  named.is_part = true;
  for (int i = 0; i < state.subject_count; ++i)
    if (is_part_of(text, state.subject(i)) || is_part_of(shown, state.subject(i))) named.subjects.push_back(i);
  if (named.subjects.empty()) named.subjects = makers_of(state, shown);
  return named;
}

int the_one(const State& state, store::Reader& reader, const std::string& text) {
  auto named = find_named(state, reader, text);
  for (const auto n : named.items) {
    const auto id = reader.item(n).subject;
    for (int i = 0; i < state.subject_count; ++i)
      if (state.subject(i).id == id &&
          std::find(named.subjects.begin(), named.subjects.end(), i) == named.subjects.end())
        named.subjects.push_back(i);
  }
  if (named.subjects.empty()) throw Error(ErrorCode::not_found, "the project knows no item {}", text);
  if (named.subjects.size() == 1) return named.subjects.front();
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(named.subjects.size(), 5); ++i)
    list += (i == 0 ? "" : ", ") + describe(state.subject(named.subjects[i]));
  throw Error(ErrorCode::bad_input, "{} items fit {}: {}{}; name one by its path or the first digits of its id",
              named.subjects.size(), text, list, named.subjects.size() > 5 ? ", …" : "");
}

}  // namespace frazil::engine
