#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tidegate::worker {

class KvBlocks;

/// The free list over a backend's KV blocks 0..blocks-1. Every block is free or owned by exactly one
/// KvBlocks, which gives it back when it dies: no path, cancelled or failed, can leak one. Must outlive its
/// owners. One thread.
class KvPool {
 public:
  explicit KvPool(std::int32_t blocks);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  std::int32_t blocks_total() const { return total_; }
  std::int32_t blocks_free() const { return static_cast<std::int32_t>(free_.size()); }
  std::int32_t blocks_used() const { return total_ - blocks_free(); }

 private:
  friend class KvBlocks;
  std::int32_t total_;
  std::vector<std::int32_t> free_;  ///< last released is used first: its memory is likely still in cache
};

/// Blocks that hold `tokens` tokens.
std::int32_t kv_blocks_for(std::int64_t tokens);

/// One sequence's block table and sole owner of its blocks. Movable.
class KvBlocks {
 public:
  explicit KvBlocks(KvPool& pool) : pool_(&pool) {}
  ~KvBlocks() { release(); }
  KvBlocks(KvBlocks&& other) noexcept;
  KvBlocks& operator=(KvBlocks&& other) noexcept;

  /// Grows the table to cover `tokens` tokens. false, and nothing changed, if the pool is short.
  [[nodiscard]] bool try_cover(std::int64_t tokens);
  /// Gives everything back.
  void release();
  std::span<const std::int32_t> table() const { return blocks_; }

 private:
  KvPool* pool_;
  std::vector<std::int32_t> blocks_;
};

}  // namespace tidegate::worker
