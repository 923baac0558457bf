// Fields declared once: name, unit, range and help of each member of a struct, from which flags, JSON, schema, tables
// and hashes follow.
//
//   struct FitParams {
//     Angstrom min_resolution = 30_A;
//     static constexpr auto fields() {
//       using P = FitParams;
//       return std::tuple(field(&P::min_resolution, "min_resolution", "Lowest resolution used").range(10_A, 100_A));
//     }
//   };
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/units.hpp"
#include "frazil/params/json.hpp"

namespace frazil {

template <class T>
struct is_quantity : std::false_type {};
template <class U>
struct is_quantity<Quantity<U>> : std::true_type {};

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};

/// An enum that takes part in fields has, in its own namespace, `constexpr auto names_of(E) { return
/// std::array{"log", "dog"}; }`, in order.
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T value) {
  names_of(value).size();
};

/// The names of all values, in order.
template <NamedEnum E>
inline constexpr auto enum_names = [] {
  constexpr auto names = names_of(E{});
  std::array<std::string_view, names.size()> copy{};
  std::copy(names.begin(), names.end(), copy.begin());
  return copy;
}();

template <NamedEnum E>
[[nodiscard]] constexpr std::string_view name_of(E value) {
  return enum_names<E>.at(static_cast<std::size_t>(value));
}

template <class S>
concept Described = requires {
  S::fields();
};

/// The descriptions of all members, as one constant: a call of fields() at run time would build them anew.
template <Described S>
inline constexpr auto fields_of = S::fields();

/// One member of a struct, described.
template <class S, class T>
struct Field {
  using Value = T;
  T S::*member;
  std::string_view name;
  std::string_view help;
  std::optional<double> low{}, high{};
  bool is_advanced = false;
  bool is_runtime = false;
  bool is_required = false;
  bool is_file = false;
  bool is_nullable = false;
  std::string_view star_label{};

  /// Values outside [a, b] are refused, with the range in the message.
  constexpr Field range(T a, T b) const {
    auto copy = *this;
    const auto number = [](const auto& bound) {
      using B = std::remove_cvref_t<decltype(bound)>;
      if constexpr (is_quantity<B>::value)
        return bound.value();
      else
        return static_cast<double>(bound);
    };
    if constexpr (is_optional<T>::value) {
      copy.low = number(*a);
      copy.high = number(*b);
    } else {
      copy.low = number(a);
      copy.high = number(b);
    }
    return copy;
  }
  /// Hidden in short forms and short help.
  constexpr Field advanced() const {
    auto copy = *this;
    copy.is_advanced = true;
    return copy;
  }
  /// Cannot change the result, and so stays out of the reuse key.
  constexpr Field runtime() const {
    auto copy = *this;
    copy.is_runtime = true;
    return copy;
  }
  /// Has no useful default: the user must give it.
  constexpr Field required() const {
    auto copy = *this;
    copy.is_required = true;
    return copy;
  }
  /// Of a record: may be NaN, which says that it could not be measured and is null in JSON. Every other number of a
  /// record is finite (conventions.md, "Not a number").
  constexpr Field nullable() const {
    auto copy = *this;
    copy.is_nullable = true;
    return copy;
  }
  /// Names a file, or none where it is empty.
  constexpr Field file() const {
    auto copy = *this;
    copy.is_file = true;
    return copy;
  }
  /// Column of our STAR tables that holds this value.
  constexpr Field star(std::string_view label) const {
    auto copy = *this;
    copy.star_label = label;
    return copy;
  }
};

template <class S, class T>
constexpr Field<S, T> field(T S::*member, std::string_view name, std::string_view help) {
  return {member, name, help};
}

/// What a field looks like from outside, without its type: drives flags, forms, schema and documentation.
struct FieldInfo {
  std::string name, help, type;  ///< type: boolean, integer, number, string, array, object
  std::string unit, suffix;      ///< "Å" and "_A", both empty for a plain number
  Json default_value;
  std::optional<double> low, high;
  std::vector<std::string> choices;
  bool advanced = false, runtime = false, required = false;
  std::string star_label;
  bool file = false;
};

namespace detail {

// What each field of each record would otherwise be compiled to once more.
void set_member(Json& object, std::string_view name, std::string_view suffix, Json value);
/// Null if the object has no such member.
[[nodiscard]] const Json* find_member(const Json& object, std::string_view name, std::string_view suffix);
[[nodiscard]] std::string naming(std::string_view name, std::string_view suffix, const std::string& problem);
struct FieldText {
  std::string_view name, help, type, unit, suffix, star_label;
  std::span<const std::string_view> choices;
  std::optional<double> low, high;
  bool advanced, runtime, required, file;
  bool nullable, optional;             ///< NaN, or nothing at all, is a value
  std::span<const FieldText> members;  ///< of a described struct
};
void add_info(std::vector<FieldInfo>& list, const FieldText& text, Json default_value);
/// No problem if it is null: every parameter has its default then.
[[nodiscard]] bool is_object(const Json& json, std::vector<std::string>& problems);
/// Problems of one parameter: missing, or what problem_of and `read` say, which stores the value.
void read_member(const Json& json, const FieldInfo& field, std::vector<std::string>& problems,
                 std::string (*read)(const Json&, void*), void* target);
void check_unknown(const Json& json, const std::vector<FieldInfo>& known, std::vector<std::string>& problems);
/// A whole number between two bounds; returns what is wrong, empty if nothing.
std::string read_whole(const Json& json, std::int64_t low, std::int64_t high, std::int64_t& value);
/// Problems of the numbers of a record: not finite although the field is not nullable, or out of the field's range.
void check_numbers(const Json& record, std::span<const FieldText> known, const std::string& place,
                   std::vector<std::string>& problems);

template <class T>
constexpr std::string_view suffix_of() {
  if constexpr (is_quantity<T>::value) {
    return []<class U>(const Quantity<U>*) { return std::string_view(U::suffix); }(static_cast<const T*>(nullptr));
  } else if constexpr (is_optional<T>::value) {
    return suffix_of<typename T::value_type>();
  } else if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string>) {
    return suffix_of<typename T::value_type>();
  } else {
    return {};
  }
}

template <class T>
constexpr std::string_view symbol_of() {
  if constexpr (is_quantity<T>::value) {
    return []<class U>(const Quantity<U>*) { return std::string_view(U::symbol); }(static_cast<const T*>(nullptr));
  } else if constexpr (is_optional<T>::value) {
    return symbol_of<typename T::value_type>();
  } else if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string>) {
    return symbol_of<typename T::value_type>();
  } else {
    return {};
  }
}

template <class T>
Json value_to_json(const T& value) {
  if constexpr (is_quantity<T>::value) {
    return value.value();
  } else if constexpr (is_optional<T>::value) {
    return value ? value_to_json(*value) : Json();
  } else if constexpr (NamedEnum<T>) {
    return std::string(name_of(value));
  } else if constexpr (std::is_arithmetic_v<T> || std::is_convertible_v<T, std::string>) {
    return value;
  } else if constexpr (Described<T>) {
    Json object = Json::object();
    std::apply(
        [&](const auto&... f) {
          (set_member(object, f.name, suffix_of<typename std::remove_cvref_t<decltype(f)>::Value>(),
                      value_to_json(value.*f.member)),
           ...);
        },
        fields_of<T>);
    return object;
  } else {
    Json list = Json::array();
    for (const auto& element : value) list.push_back(value_to_json(element));
    return list;
  }
}

/// Reads `json` into `value`; returns what is wrong, empty if nothing.
template <class T>
std::string value_from_json(const Json& json, T& value) {
  if constexpr (is_quantity<T>::value) {
    if (!json.is_number() && !json.is_null()) return "must be a number";
    value = T(json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>());  // JSON has no NaN
  } else if constexpr (is_optional<T>::value) {
    if (json.is_null() || json == "") {
      value.reset();
      return {};
    }
    typename T::value_type inner{};
    auto problem = value_from_json(json, inner);
    if (problem.empty()) value = inner;
    return problem;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return "must be true or false";
    value = json.get<bool>();
  } else if constexpr (NamedEnum<T>) {
    std::string choices;
    for (std::size_t i = 0; i < enum_names<T>.size(); ++i) {
      if (json == enum_names<T>[i]) {
        value = static_cast<T>(i);
        return {};
      }
      choices += (i == 0 ? "" : ", ") + std::string(enum_names<T>[i]);
    }
    return "must be one of " + choices;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    constexpr auto high = std::cmp_less(std::numeric_limits<T>::max(), most)
                              ? static_cast<std::int64_t>(std::numeric_limits<T>::max())
                              : most;
    std::int64_t whole = 0;
    if (auto problem = read_whole(json, static_cast<std::int64_t>(std::numeric_limits<T>::min()), high, whole);
        !problem.empty())
      return problem;
    value = static_cast<T>(whole);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (json.is_null()) {
      value = std::numeric_limits<T>::quiet_NaN();
      return {};
    }  // JSON has no NaN
    if (!json.is_number()) return "must be a number";
    value = json.get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return "must be text";
    value = json.get<std::string>();
  } else if constexpr (Described<T>) {
    if (!json.is_object()) return "must be an object";
    std::string problem;
    std::apply(
        [&](const auto&... f) {
          (([&] {
             constexpr auto suffix = suffix_of<typename std::remove_cvref_t<decltype(f)>::Value>();
             const auto* found = problem.empty() ? find_member(json, f.name, suffix) : nullptr;
             if (found == nullptr) return;
             problem = value_from_json(*found, value.*f.member);
             if (!problem.empty()) problem = naming(f.name, suffix, problem);
           }()),
           ...);
        },
        fields_of<T>);
    return problem;
  } else {
    if (!json.is_array()) return "must be a list";
    if constexpr (requires { value.resize(json.size()); }) value.resize(json.size());
    if (value.size() != json.size()) return "has the wrong number of entries";
    for (std::size_t i = 0; i < json.size(); ++i)
      if (auto problem = value_from_json(json[i], value[i]); !problem.empty())
        return "entry " + std::to_string(i) + " " + problem;
  }
  return {};
}

/// What a field of this type may be, if it has a choice of names.
template <class T>
constexpr std::span<const std::string_view> choices_of() {
  if constexpr (NamedEnum<T>)
    return enum_names<T>;
  else
    return {};
}

template <class T>
constexpr std::string_view json_type() {
  if constexpr (is_optional<T>::value)
    return json_type<typename T::value_type>();
  else if constexpr (std::is_same_v<T, bool>)
    return "boolean";
  else if constexpr (NamedEnum<T> || std::is_same_v<T, std::string>)
    return "string";
  else if constexpr (std::is_integral_v<T>)
    return "integer";
  else if constexpr (is_quantity<T>::value || std::is_floating_point_v<T>)
    return "number";
  else if constexpr (Described<T>)
    return "object";
  else
    return "array";
}

template <class T>
std::string read_value(const Json& json, void* target) {
  return value_from_json(json, *static_cast<T*>(target));
}

template <class T>
constexpr std::span<const FieldText> members_of();

template <class S, class T>
constexpr FieldText text_of(const Field<S, T>& f) {
  return {f.name,         f.help,        json_type<T>(),        symbol_of<T>(),
          suffix_of<T>(), f.star_label,  choices_of<T>(),       f.low,
          f.high,         f.is_advanced, f.is_runtime,          f.is_required,
          f.is_file,      f.is_nullable, is_optional<T>::value, members_of<T>()};
}

/// What is said of all fields of S, as one constant.
template <Described S>
inline constexpr auto texts_of =
    std::apply([](const auto&... f) { return std::array<FieldText, sizeof...(f)>{text_of(f)...}; }, fields_of<S>);

template <class T>
constexpr std::span<const FieldText> members_of() {
  if constexpr (is_optional<T>::value)
    return members_of<typename T::value_type>();
  else if constexpr (Described<T>)
    return texts_of<T>;
  else
    return {};
}

}  // namespace detail

/// The fields of S with types erased, defaults taken from a default-constructed S.
template <Described S>
std::vector<FieldInfo> describe() {
  const S defaults{};
  std::vector<FieldInfo> list;
  const auto* text = detail::texts_of<S>.data();
  std::apply(
      [&](const auto&... f) { (detail::add_info(list, *text++, detail::value_to_json(defaults.*f.member)), ...); },
      fields_of<S>);
  return list;
}

/// The same, made once.
template <Described S>
const std::vector<FieldInfo>& infos_of() {
  static const auto infos = describe<S>();
  return infos;
}

/// What is wrong with a value of a field, as the end of a sentence ("must lie in 1 to 10 Å, not 11"); empty: nothing.
/// The one check of parameters, wherever they come from: command line, workflow, table or plugin. Null is legal where
/// it is the default, which means "not given".
[[nodiscard]] std::string problem_of(const FieldInfo& field, const Json& value);

/// A record as it stands in `--json` lines and in the store: keys end in the unit ("defocus_u_A").
template <Described S>
Json record_to_json(const S& record) {
  return detail::value_to_json(record);
}

/// Inverse of record_to_json; unknown keys are ignored, missing ones keep their default. @throws Error(bad_input)
template <Described S>
S record_from_json(const Json& json) {
  S record{};
  if (const auto problem = detail::value_from_json(json, record); !problem.empty())
    throw Error(ErrorCode::bad_input, "record: {}", problem);
  return record;
}

/// Sentences on the numbers of a record that no record may hold: not finite although their field is not nullable, or
/// out of the field's range.
template <Described S>
std::vector<std::string> record_problems(const Json& record) {
  std::vector<std::string> problems;
  detail::check_numbers(record, detail::texts_of<S>, {}, problems);
  return problems;
}

/// Parameters as plain JSON: keys are the names, without unit.
template <Described S>
Json params_to_json(const S& params) {
  Json object = Json::object();
  std::apply(
      [&](const auto&... f) { (detail::set_member(object, f.name, {}, detail::value_to_json(params.*f.member)), ...); },
      fields_of<S>);
  return object;
}

/// Reads parameters; appends one sentence for each unknown key, wrong type, value out of range, and whatever
/// a `std::vector<std::string> check(const S&)` found by argument-dependent lookup reports.
template <Described S>
S params_from_json(const Json& json, std::vector<std::string>& problems) {
  S params{};
  if (!detail::is_object(json, problems)) return params;
  const auto* info = infos_of<S>().data();
  std::apply(
      [&](const auto&... f) {
        (detail::read_member(json, *info++, problems,
                             &detail::read_value<typename std::remove_cvref_t<decltype(f)>::Value>,
                             &(params.*f.member)),
         ...);
      },
      fields_of<S>);
  detail::check_unknown(json, infos_of<S>(), problems);
  if constexpr (requires { check(params); })
    for (auto& problem : check(params)) problems.push_back(std::move(problem));
  return params;
}

/// The part of the parameters that can change a result, in canonical text: goes into the reuse key.
template <Described S>
std::string result_key(const S& params) {
  Json object = Json::object();
  std::apply(
      [&](const auto&... f) {
        ((f.is_runtime ? void() : detail::set_member(object, f.name, {}, detail::value_to_json(params.*f.member))),
         ...);
      },
      fields_of<S>);
  return object.dump();
}

/// JSON Schema (2020-12) of an object with these fields.
[[nodiscard]] Json json_schema(const std::vector<FieldInfo>& fields);
/// One Markdown table row a field: name, default, unit, range, help.
[[nodiscard]] std::string markdown_table(const std::vector<FieldInfo>& fields);
/// `--min-resolution` for min_resolution.
[[nodiscard]] std::string flag_of(std::string_view name);
/// Text of a flag turned into the JSON that the field's type asks for. @throws Error(bad_input)
[[nodiscard]] Json parse_value(const FieldInfo& field, const std::string& text);

}  // namespace frazil
