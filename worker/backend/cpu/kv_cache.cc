#include "worker/backend/cpu/kv_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <new>

#include "worker/backend/cpu/kernels.h"

namespace tidegate::worker {

Result<KvCache> KvCache::create(std::int32_t layers, std::int32_t blocks, std::int32_t width) {
  std::int64_t floats = 0;
  const bool overflows =
      __builtin_mul_overflow(std::int64_t{layers} * kKvBlockTokens * width, std::int64_t{blocks}, &floats);
  const std::int64_t memory = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  // The kernel grants address space beyond memory and kills the process later: refuse here, where it can be
  // told.
  if (blocks < 1 || overflows || floats > memory / static_cast<std::int64_t>(sizeof(float))) {
    return fail(Code::kResourceExhausted, "kv_memory",
                fmt::format("{} KV blocks of {} tokens do not fit in {} bytes of memory", blocks,
                            kKvBlockTokens, memory));
  }
  KvCache cache;
  cache.blocks_ = blocks;
  cache.width_ = width;
  try {
    // One vector of slack: the value kernel may read past the last row's latent (kernels_impl.h).
    cache.data_ = AlignedBuffer<float>(static_cast<std::size_t>(floats) + kLanes);
  } catch (const std::bad_alloc&) {
    return fail(Code::kResourceExhausted, "kv_memory",
                fmt::format("the system refused memory for {} KV blocks", blocks));
  }
  return cache;
}

}  // namespace tidegate::worker
