#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "worker/backend/backend.h"
#include "worker/engine/cache_salt.h"

namespace tidegate::worker {

class KvBlocks;

/// A backend's KV blocks 0..blocks-1: who owns which, and what the ones nobody owns still hold.
///
/// A block is empty, owned (by one or several KvBlocks, which are counted), or idle: owned by nobody, but full of tokens
/// that the next sequence with the same prefix can use. Idle blocks are free: when empty ones run out, the one idle
/// longest is emptied. Only full blocks are ever shared, so nobody writes into a block that another reads.
///
/// The index of contents: hash chain over token ids, seeded by the salt, to one block. A hit is believed only if the
/// block's salt, all its token ids and its predecessor (by serial, which is never reused) are the wanted ones. By
/// induction a hit is this very prefix of this very tenant, whatever the hash does; a collision costs a hit, never a
/// wrong answer (llama.cpp 27148 restored another conversation's cache).
///
/// Owners give back what they have when they die: no path, cancelled or failed, can leak a block. Must outlive its
/// owners. One thread.
class KvPool {
 public:
  explicit KvPool(std::int32_t blocks);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  std::int32_t blocks_total() const { return static_cast<std::int32_t>(blocks_.size()); }
  /// Empty and idle ones.
  std::int32_t blocks_free() const { return static_cast<std::int32_t>(empty_.size() + idle_.size()); }
  std::int32_t blocks_used() const { return blocks_total() - blocks_free(); }
  std::int32_t blocks_idle() const { return static_cast<std::int32_t>(idle_.size()); }

  /// Walks everything. For tests: every block is in exactly one state, and `owned[b]` says how often it is owned.
  bool is_consistent(std::span<const std::int32_t> owned) const;

 private:
  friend class KvBlocks;
  struct Block {
    std::int32_t owners = 0;
    std::uint64_t serial = 0;      ///< of its content; 0: not in the index
    std::uint64_t parent = 0;      ///< serial of the block before it; 0: it is the first
    std::uint64_t hash = 0;        ///< of the chain up to and including it
    std::uint64_t idle_since = 0;  ///< its key in idle_
    CacheSalt salt{};
  };

  Block& at(std::int32_t block) { return blocks_[static_cast<std::size_t>(block)]; }
  const Block& at(std::int32_t block) const { return blocks_[static_cast<std::size_t>(block)]; }
  std::span<TokenId> tokens_of(std::int32_t block) {
    return std::span(tokens_).subspan(static_cast<std::size_t>(block) * kKvBlockTokens, kKvBlockTokens);
  }

  /// The block of this content; -1: there is none.
  std::int32_t find(const CacheSalt& salt, std::uint64_t parent, std::uint64_t hash, std::span<const TokenId> tokens);
  /// `block` (owned, full) may be found from now on. Whatever else had this hash is forgotten.
  void publish(std::int32_t block, const CacheSalt& salt, std::uint64_t parent, std::uint64_t hash,
               std::span<const TokenId> tokens);
  void forget(std::int32_t block);

  /// One owner more of nothing: the pool must have a free block.
  std::int32_t take();
  void share(std::int32_t block);
  void drop(std::int32_t block);

  std::vector<Block> blocks_;
  std::vector<TokenId> tokens_;      ///< [block][kKvBlockTokens], of blocks in the index
  std::vector<std::int32_t> empty_;  ///< last released is used first: its memory is likely still in cache
  std::map<std::uint64_t, std::int32_t> idle_;  ///< by the moment they became so, counted
  std::unordered_map<std::uint64_t, std::int32_t> index_;
  std::uint64_t last_serial_ = 0;
  std::uint64_t last_idle_ = 0;
};

/// Blocks that hold `tokens` tokens.
std::int32_t kv_blocks_for(std::int64_t tokens);

/// One sequence's block table, and an owner of each block in it. Movable.
class KvBlocks {
 public:
  struct Found {
    std::int32_t blocks = 0;
    std::int32_t in_use = 0;  ///< of them: taking these costs nothing
  };

  /// Without a salt the sequence neither finds blocks nor leaves any to find.
  explicit KvBlocks(KvPool& pool, std::optional<CacheSalt> salt = std::nullopt) : pool_(&pool), salt_(salt) {}
  ~KvBlocks() { release(); }
  KvBlocks(KvBlocks&& other) noexcept;
  KvBlocks& operator=(KvBlocks&& other) noexcept;

  /// What adopt() would take. `tokens` are always the whole sequence; between calls it may only grow.
  Found find(std::span<const TokenId> tokens);
  /// Takes the longest known prefix of `tokens` into the (empty) table; returns how many tokens that is. At least one
  /// token is left to compute: its logits are wanted.
  std::int32_t adopt(std::span<const TokenId> tokens);
  /// Grows the table to cover `tokens` tokens. false, and nothing changed, if the pool is short.
  [[nodiscard]] bool try_cover(std::int64_t tokens);
  /// KV of the first `computed` of `tokens` is written: full blocks may be found by others. Where one of the same content
  /// is there already, that one is taken and the own given back; both hold the same bits (Backend::forward).
  void publish(std::span<const TokenId> tokens, std::int32_t computed);
  /// What is in the table shall not be found any more: its content is in doubt.
  void forget();
  /// Gives everything back. The last blocks go idle first: a prefix outlives what follows it.
  void release();
  std::span<const std::int32_t> table() const { return blocks_; }

 private:
  std::uint64_t chain(std::span<const TokenId> tokens, std::size_t block);

  KvPool* pool_;
  std::optional<CacheSalt> salt_;
  std::vector<std::int32_t> blocks_;
  std::size_t published_ = 0;        ///< leading blocks of the table that are in the index
  std::vector<std::uint64_t> hashes_;  ///< of the sequence's full blocks, as far as they were asked for
};

}  // namespace tidegate::worker
