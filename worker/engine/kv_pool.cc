#include "worker/engine/kv_pool.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 32);
}

std::uint64_t seed_of(const CacheSalt& salt) {
  std::uint64_t hash = 0x7469646567617465ULL;
  for (std::size_t at = 0; at < salt.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, salt.data() + at, sizeof word);
    hash = mix(hash, word);
  }
  return hash;
}

std::span<const TokenId> tokens_of_block(std::span<const TokenId> tokens, std::size_t block) {
  return tokens.subspan(block * kKvBlockTokens, kKvBlockTokens);
}

}  // namespace

KvPool::KvPool(std::int32_t blocks)
    : blocks_(static_cast<std::size_t>(blocks)),
      tokens_(static_cast<std::size_t>(blocks) * kKvBlockTokens),
      empty_(static_cast<std::size_t>(blocks)) {
  // Reversed, so that block 0 goes out first: runs are easier to read in a debugger.
  std::iota(empty_.rbegin(), empty_.rend(), 0);
}

KvPool::~KvPool() {
  TG_CHECK(blocks_used() == 0);
}

std::int32_t KvPool::find(const CacheSalt& salt, std::uint64_t parent, std::uint64_t hash,
                          std::span<const TokenId> tokens) {
  const auto found = index_.find(hash);
  if (found == index_.end()) return -1;
  const Block& block = at(found->second);
  const bool is_it = block.parent == parent && block.salt == salt && std::ranges::equal(tokens_of(found->second), tokens);
  return is_it ? found->second : -1;
}

void KvPool::publish(std::int32_t block, const CacheSalt& salt, std::uint64_t parent, std::uint64_t hash,
                     std::span<const TokenId> tokens) {
  TG_DCHECK(at(block).owners > 0 && at(block).serial == 0 && tokens.size() == std::size_t{kKvBlockTokens});
  if (const auto other = index_.find(hash); other != index_.end()) forget(other->second);
  index_[hash] = block;
  Block& entry = at(block);
  entry.serial = ++last_serial_;
  entry.parent = parent;
  entry.hash = hash;
  entry.salt = salt;
  std::ranges::copy(tokens, tokens_of(block).begin());
}

void KvPool::forget(std::int32_t block) {
  Block& entry = at(block);
  if (entry.serial == 0) return;
  index_.erase(entry.hash);
  entry.serial = 0;
  if (entry.owners > 0) return;
  idle_.erase(entry.idle_since);
  empty_.push_back(block);
}

std::int32_t KvPool::take() {
  if (empty_.empty()) {
    TG_CHECK(!idle_.empty());
    forget(idle_.begin()->second);
  }
  const std::int32_t block = empty_.back();
  empty_.pop_back();
  at(block).owners = 1;
  return block;
}

void KvPool::share(std::int32_t block) {
  Block& entry = at(block);
  if (entry.owners++ == 0) idle_.erase(entry.idle_since);
}

void KvPool::drop(std::int32_t block) {
  Block& entry = at(block);
  TG_DCHECK(entry.owners > 0);
  if (--entry.owners > 0) return;
  if (entry.serial == 0) {
    empty_.push_back(block);
    return;
  }
  entry.idle_since = ++last_idle_;
  idle_.emplace(entry.idle_since, block);
}

bool KvPool::is_consistent(std::span<const std::int32_t> owned) const {
  if (owned.size() != blocks_.size()) return false;
  std::vector<std::int32_t> states(blocks_.size(), 0);
  const auto count = [&states](std::int32_t block) { ++states[static_cast<std::size_t>(block)]; };
  for (const std::int32_t block : empty_) {
    if (at(block).serial != 0) return false;
    count(block);
  }
  for (const auto& [since, block] : idle_) {
    if (at(block).serial == 0 || at(block).idle_since != since) return false;
    count(block);
  }
  std::size_t indexed = 0;
  for (std::size_t n = 0; n < blocks_.size(); ++n) {
    if (blocks_[n].owners != owned[n]) return false;
    if (states[n] + (blocks_[n].owners > 0 ? 1 : 0) != 1) return false;
    if (blocks_[n].serial == 0) continue;
    ++indexed;
    const auto found = index_.find(blocks_[n].hash);
    if (found == index_.end() || found->second != static_cast<std::int32_t>(n)) return false;
  }
  return indexed == index_.size();
}

std::int32_t kv_blocks_for(std::int64_t tokens) {
  return static_cast<std::int32_t>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

KvBlocks::KvBlocks(KvBlocks&& other) noexcept
    : pool_(other.pool_),
      salt_(other.salt_),
      blocks_(std::exchange(other.blocks_, {})),
      published_(std::exchange(other.published_, 0)),
      hashes_(std::exchange(other.hashes_, {})) {}

KvBlocks& KvBlocks::operator=(KvBlocks&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = other.pool_;
    salt_ = other.salt_;
    blocks_ = std::exchange(other.blocks_, {});
    published_ = std::exchange(other.published_, 0);
    hashes_ = std::exchange(other.hashes_, {});
  }
  return *this;
}

std::uint64_t KvBlocks::chain(std::span<const TokenId> tokens, std::size_t block) {
  while (hashes_.size() <= block) {
    std::uint64_t hash = hashes_.empty() ? seed_of(*salt_) : hashes_.back();
    for (const TokenId id : tokens_of_block(tokens, hashes_.size())) hash = mix(hash, static_cast<std::uint64_t>(id));
    hashes_.push_back(hash);
  }
  return hashes_[block];
}

KvBlocks::Found KvBlocks::find(std::span<const TokenId> tokens) {
  Found found;
  if (!salt_ || tokens.empty()) return found;
  const std::size_t most = (tokens.size() - 1) / kKvBlockTokens;
  std::uint64_t parent = 0;
  for (std::size_t n = 0; n < most; ++n) {
    const std::int32_t block = pool_->find(*salt_, parent, chain(tokens, n), tokens_of_block(tokens, n));
    if (block < 0) break;
    parent = pool_->at(block).serial;
    ++found.blocks;
    found.in_use += pool_->at(block).owners > 0 ? 1 : 0;
  }
  return found;
}

std::int32_t KvBlocks::adopt(std::span<const TokenId> tokens) {
  TG_CHECK(blocks_.empty());
  const auto most = static_cast<std::size_t>(find(tokens).blocks);
  for (std::size_t n = 0; n < most; ++n) {
    const std::int32_t block = pool_->index_.at(chain(tokens, n));
    pool_->share(block);
    blocks_.push_back(block);
  }
  published_ = most;
  return static_cast<std::int32_t>(most) * kKvBlockTokens;
}

bool KvBlocks::try_cover(std::int64_t tokens) {
  const std::int32_t more = kv_blocks_for(tokens) - static_cast<std::int32_t>(blocks_.size());
  if (more <= 0) return true;
  if (more > pool_->blocks_free()) return false;
  for (std::int32_t n = 0; n < more; ++n) blocks_.push_back(pool_->take());
  return true;
}

void KvBlocks::publish(std::span<const TokenId> tokens, std::int32_t computed) {
  if (!salt_) return;
  const std::size_t full = static_cast<std::size_t>(computed / kKvBlockTokens);
  for (; published_ < full; ++published_) {
    // The block before may have been forgotten since: what follows it can then not be found either.
    const std::uint64_t parent = published_ == 0 ? 0 : pool_->at(blocks_[published_ - 1]).serial;
    if (published_ > 0 && parent == 0) return;
    std::int32_t& own = blocks_[published_];
    const std::uint64_t hash = chain(tokens, published_);
    const auto content = tokens_of_block(tokens, published_);
    const std::int32_t known = pool_->find(*salt_, parent, hash, content);
    if (known < 0) {
      pool_->publish(own, *salt_, parent, hash, content);
    } else if (known != own) {
      pool_->share(known);
      pool_->drop(std::exchange(own, known));
    }
  }
}

void KvBlocks::forget() {
  for (std::size_t n = 0; n < published_; ++n) pool_->forget(blocks_[n]);
}

void KvBlocks::release() {
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) pool_->drop(*block);
  blocks_.clear();
  published_ = 0;
  TG_DCHECK(pool_->blocks_free() <= pool_->blocks_total());
}

}  // namespace tidegate::worker
