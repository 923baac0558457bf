// The device of a task, as protocols use it: `backend_of(context, &device::Backends::pick)`.
#pragma once

#include "frazil/algo/device/device.hpp"
#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

/// The devices that compute a part; "cpu" is the first.
template <class Part>
std::vector<flow::Device> devices_for(Part device::Backends::*part) {
  std::vector<flow::Device> list;
  for (const auto& one : device::devices())
    if (one.backends({}).*part != nullptr) list.push_back({std::string(one.name), one.gpus});
  return list;
}

/// Who computes that part in this task. @throws Error(unsupported) when the task's device has nobody for it
template <class Part>
Part backend_of(const flow::Context& context, Part device::Backends::*part) {
  const auto backend = device::known(context.device()).backends(context.gpus()).*part;
  if (backend == nullptr) throw Error(ErrorCode::unsupported, "the device {} does not compute this", context.device());
  return backend;
}

}  // namespace frazil::protocols
