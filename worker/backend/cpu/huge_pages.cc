#include "worker/backend/cpu/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace tidegate::worker {

void advise_huge_pages(void* data, std::size_t size) {
  // Whole ones only: what lies beside belongs to others.
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t first = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const std::uintptr_t end = (begin + size) / kHugePageBytes * kHugePageBytes;
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

}  // namespace tidegate::worker
