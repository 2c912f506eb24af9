#include "worker/engine/kv_pool.h"

#include <numeric>
#include <utility>

#include "base/core/check.h"
#include "worker/backend/backend.h"

namespace tidegate::worker {

KvPool::KvPool(std::int32_t blocks) : total_(blocks), free_(static_cast<std::size_t>(blocks)) {
  // Reversed, so that block 0 goes out first: runs are easier to read in a debugger.
  std::iota(free_.rbegin(), free_.rend(), 0);
}

KvPool::~KvPool() {
  TG_CHECK(blocks_free() == total_);
}

std::int32_t kv_blocks_for(std::int64_t tokens) {
  return static_cast<std::int32_t>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

KvBlocks::KvBlocks(KvBlocks&& other) noexcept
    : pool_(other.pool_), blocks_(std::exchange(other.blocks_, {})) {}

KvBlocks& KvBlocks::operator=(KvBlocks&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = other.pool_;
    blocks_ = std::exchange(other.blocks_, {});
  }
  return *this;
}

bool KvBlocks::try_cover(std::int64_t tokens) {
  const std::int32_t more = kv_blocks_for(tokens) - static_cast<std::int32_t>(blocks_.size());
  if (more <= 0) return true;
  if (more > pool_->blocks_free()) return false;
  const auto taken = pool_->free_.end() - more;
  blocks_.insert(blocks_.end(), std::make_reverse_iterator(pool_->free_.end()),
                 std::make_reverse_iterator(taken));
  pool_->free_.erase(taken, pool_->free_.end());
  return true;
}

void KvBlocks::release() {
  pool_->free_.insert(pool_->free_.end(), blocks_.rbegin(), blocks_.rend());
  blocks_.clear();
  TG_DCHECK(pool_->blocks_free() <= pool_->total_);
}

}  // namespace tidegate::worker
