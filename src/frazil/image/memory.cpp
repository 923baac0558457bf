#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "frazil/image/image.hpp"

namespace frazil {

void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t line = 64, large_page = std::size_t{2} << 20U;
  const std::size_t alignment = bytes >= 2 * large_page ? large_page : line;
  void* memory = nullptr;
  if (::posix_memalign(&memory, alignment, bytes) != 0) throw std::bad_alloc();
  if (alignment == large_page) ::madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: without it all is the same but slower
  return memory;
}

void free_aligned(void* memory) { std::free(memory); }

}  // namespace frazil
