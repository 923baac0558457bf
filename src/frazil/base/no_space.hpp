// A disk or quota without space, told by the number of the error: waiting helps, and no item is at fault.
#pragma once

#include <cerrno>

#include "frazil/base/error.hpp"

namespace frazil {

[[nodiscard]] constexpr bool is_no_space(int error) { return error == ENOSPC || error == EDQUOT; }

/// What was to be written found no space.
class NoSpace : public Error {
 public:
  template <class... Args>
  explicit NoSpace(fmt::format_string<Args...> format, Args&&... args)
      : Error(ErrorCode::resource, format, std::forward<Args>(args)...) {}
};

}  // namespace frazil
