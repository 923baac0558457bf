// Physical quantities as types: angstrom, degrees, kilovolt, millimetre, electrons per square angstrom.
#pragma once

#include <cmath>
#include <compare>
#include <numbers>

namespace frazil {

/// A double that carries its unit in its type. Two quantities of one unit add, compare and divide to a plain number;
/// a raw number becomes a quantity only by name (`Angstrom{1.2}`, `1.2_A`).
template <class Unit>
class Quantity {
 public:
  constexpr Quantity() = default;
  explicit constexpr Quantity(double value) : value_(value) {}

  /// The number in the unit of the type.
  [[nodiscard]] constexpr double value() const { return value_; }

  constexpr Quantity operator-() const { return Quantity(-value_); }
  constexpr Quantity& operator+=(Quantity other) {
    value_ += other.value_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    value_ -= other.value_;
    return *this;
  }
  constexpr Quantity& operator*=(double factor) {
    value_ *= factor;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator*(Quantity a, double f) { return Quantity(a.value_ * f); }
  friend constexpr Quantity operator*(double f, Quantity a) { return Quantity(a.value_ * f); }
  friend constexpr Quantity operator/(Quantity a, double f) { return Quantity(a.value_ / f); }
  friend constexpr double operator/(Quantity a, Quantity b) { return a.value_ / b.value_; }
  friend constexpr auto operator<=>(Quantity, Quantity) = default;

 private:
  double value_ = 0;
};

/// `suffix` ends the JSON key of such a value, `symbol` is shown to people.
struct AngstromUnit {
  static constexpr const char *suffix = "_A", *symbol = "Å";
};
struct Angstrom2Unit {
  static constexpr const char *suffix = "_A2", *symbol = "Å²";
};
struct DegreesUnit {
  static constexpr const char *suffix = "_deg", *symbol = "°";
};
struct KilovoltUnit {
  static constexpr const char *suffix = "_kV", *symbol = "kV";
};
struct MillimetreUnit {
  static constexpr const char *suffix = "_mm", *symbol = "mm";
};
struct DoseUnit {
  static constexpr const char *suffix = "_e_per_A2", *symbol = "e⁻/Å²";
};
struct SecondsUnit {
  static constexpr const char *suffix = "_s", *symbol = "s";
};
struct PixelsUnit {
  static constexpr const char *suffix = "_px", *symbol = "px";
};

using Angstrom = Quantity<AngstromUnit>;
using Angstrom2 = Quantity<Angstrom2Unit>;
using Degrees = Quantity<DegreesUnit>;
using Kilovolt = Quantity<KilovoltUnit>;
using Millimetre = Quantity<MillimetreUnit>;
using Dose = Quantity<DoseUnit>;
using Seconds = Quantity<SecondsUnit>;
using Pixels = Quantity<PixelsUnit>;

inline namespace literals {
#define FRAZIL_LITERAL(type, suffix)                                                        \
  constexpr type operator""##suffix(long double v) { return type(static_cast<double>(v)); } \
  constexpr type operator""##suffix(unsigned long long v) { return type(static_cast<double>(v)); }
FRAZIL_LITERAL(Angstrom, _A)
FRAZIL_LITERAL(Angstrom2, _A2)
FRAZIL_LITERAL(Degrees, _deg)
FRAZIL_LITERAL(Kilovolt, _kV)
FRAZIL_LITERAL(Millimetre, _mm)
FRAZIL_LITERAL(Dose, _e_per_A2)
FRAZIL_LITERAL(Seconds, _s)
FRAZIL_LITERAL(Pixels, _px)
#undef FRAZIL_LITERAL
}  // namespace literals

/// Length in pixels of an image whose pixel measures `pixel_size`.
constexpr double to_px(Angstrom length, Angstrom pixel_size) { return length / pixel_size; }
constexpr double to_rad(Degrees angle) { return angle.value() * (std::numbers::pi / 180.0); }
constexpr Degrees from_rad(double angle_rad) { return Degrees(angle_rad * (180.0 / std::numbers::pi)); }

}  // namespace frazil
