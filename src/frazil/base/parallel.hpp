// Parallel loops whose results do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <functional>

namespace frazil {

/// Calls `body(i)` for every i in [0, count), on up to `threads` threads. Each call must touch only what belongs to i;
/// reductions are then made by the caller in index order. The first exception (lowest index) is thrown again here.
void parallel_for(int threads, std::size_t count, const std::function<void(std::size_t)>& body);

/// As parallel_for, and tells `body(i, slot)` which of the `threads` slots it runs on, for scratch memory per thread.
void parallel_for_slots(int threads, std::size_t count, const std::function<void(std::size_t, int slot)>& body);

/// Number of CPUs this process may use (affinity mask and control-group quota).
[[nodiscard]] int available_cpus();

}  // namespace frazil
