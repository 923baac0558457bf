// What the program at large must know of a kind of record beside its fields; stands beside each record.
#pragma once

#include <array>
#include <string_view>

namespace frazil {

/// Entries of lists that are not needed stay empty.
struct KindFacts {
  std::string_view one;                        ///< what people call one: "micrograph"
  std::array<std::string_view, 3> names{};     ///< fields that tell which one it is: the first that is not empty counts
  std::array<std::string_view, 8> settable{};  ///< fields that may be given as flags beside a file of this kind
  std::string_view star_label{};               ///< a STAR table with this column holds records of this kind …
  std::array<std::string_view, 2> star_without{};  ///< … in a file without these
  bool is_image = false;                           ///< an image file given to a step is one
};

/// Specialised beside each record: `static constexpr KindFacts facts{…};`
template <class Record>
struct KindTraits;

/// A type as a value, to choose among overloads.
template <class T>
struct Type {
  using type = T;
};

template <class... T>
struct Types {};

}  // namespace frazil
