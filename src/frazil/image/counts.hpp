// Frames as a detector wrote them: pixels in the type that the file holds, a quarter of the memory of floats.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "frazil/image/image.hpp"

namespace frazil {

/// What a pixel is. Types that files hold beside these are widened: 4 bits to u8, i8 to i16, all others to f32.
enum class CountType : std::uint8_t { u8, u16, i16, f32 };

[[nodiscard]] constexpr std::size_t bytes_of(CountType type) {
  return type == CountType::u8 ? 1 : type == CountType::f32 ? 4 : 2;
}

/// One frame; x fast, rows without gaps. Fresh memory is not cleared.
class Counts {
 public:
  Counts() = default;
  Counts(int nx, int ny, CountType type) : type_(type), nx_(nx), ny_(ny) {
    expect(nx >= 0 && ny >= 0, "frame sides are not negative");
    data_.resize(static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny) * bytes_of(type));
  }

  [[nodiscard]] CountType type() const { return type_; }
  [[nodiscard]] int nx() const { return nx_; }
  [[nodiscard]] int ny() const { return ny_; }
  [[nodiscard]] std::size_t row_bytes() const { return static_cast<std::size_t>(nx_) * bytes_of(type_); }
  [[nodiscard]] std::byte* row(int y) { return data_.data() + static_cast<std::size_t>(y) * row_bytes(); }
  [[nodiscard]] const std::byte* row(int y) const { return data_.data() + static_cast<std::size_t>(y) * row_bytes(); }

  /// Calls f(View2<const T>) with the type that the pixels have.
  template <class F>
  decltype(auto) visit(F&& f) const {
    switch (type_) {
      case CountType::u8:
        return std::forward<F>(f)(as<std::uint8_t>());
      case CountType::u16:
        return std::forward<F>(f)(as<std::uint16_t>());
      case CountType::i16:
        return std::forward<F>(f)(as<std::int16_t>());
      case CountType::f32:
        break;
    }
    return std::forward<F>(f)(as<float>());
  }

 private:
  /// Leaves new elements as they are.
  template <class T>
  struct Uninitialised : AlignedAllocator<T> {
    template <class U>
    struct rebind {
      using other = Uninitialised<U>;
    };
    template <class U>
    void construct(U*) const {}
  };
  template <class T>
  [[nodiscard]] View2<const T> as() const {
    return {reinterpret_cast<const T*>(data_.data()), nx_, ny_, nx_};  // NOLINT: the bytes were written as T
  }

  CountType type_ = CountType::f32;
  int nx_ = 0, ny_ = 0;
  std::vector<std::byte, Uninitialised<std::byte>> data_;
};

}  // namespace frazil
