#include "frazil/algo/device/device.hpp"

#include <array>
#include <string>

#include "frazil/base/error.hpp"

namespace frazil::device {
namespace {

constexpr std::array table{
    Device{"cpu", "this program's own code", 0,
           [](std::string_view) -> Backends {
             return {&motion::cpu_backend(), &pick::cpu_backend(), &class2d::cpu_backend()};
           }},
    Device{"reference", "plain loops in double precision, slow: what others are checked against", 0,
           [](std::string_view) -> Backends {
             return {&motion::reference_backend(), &pick::reference_backend(), &class2d::reference_backend()};
           }},
};

}  // namespace

std::span<const Device> devices() { return table; }

const Device& known(std::string_view name) {
  std::string names;
  for (const auto& one : table) {
    if (one.name == name) return one;
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  }
  throw Error(ErrorCode::unsupported, "there is no device \"{}\" in this program; it has {}", name, names);
}

}  // namespace frazil::device
