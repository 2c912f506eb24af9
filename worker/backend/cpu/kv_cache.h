#pragma once

#include <cstdint>

#include "base/core/result.h"
#include "worker/backend/backend.h"
#include "worker/backend/cpu/aligned_buffer.h"

namespace tidegate::worker {

/// Paged cache of what attention keeps of a token: MLA's normed latent and one roped key for all heads, or a value and a
/// roped key per kv head.
/// Layout [layer][block][slot in block][width]. Memory is reserved at once and touched as tokens are written.
class KvCache {
 public:
  KvCache() = default;
  /// Fails: resource_exhausted/kv_memory when it exceeds the machine's memory or the system refuses it.
  static Result<KvCache> create(std::int32_t layers, std::int32_t blocks, std::int32_t width);

  [[nodiscard]] std::int32_t blocks() const { return blocks_; }
  /// `width` floats of one token.
  [[nodiscard]] float* row(std::int32_t layer, std::int32_t block, std::int32_t slot) {
    const std::int64_t token = (std::int64_t{layer} * blocks_ + block) * kKvBlockTokens + slot;
    return data_.data() + token * width_;
  }

 private:
  AlignedBuffer<float> data_;
  std::int32_t blocks_ = 0;
  std::int32_t width_ = 0;
};

}  // namespace tidegate::worker
