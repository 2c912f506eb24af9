#include "worker/engine/kv_pool.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/core/random.h"
#include "tests/unit/worker/engine/cache_salts.h"

namespace tidegate::worker::kv_pool_test {
namespace {

std::vector<TokenId> counted(std::int32_t tokens, TokenId first = 0) {
  std::vector<TokenId> ids;
  for (std::int32_t n = 0; n < tokens; ++n) ids.push_back(first + n);
  return ids;
}

/// A sequence that has computed all of `tokens`.
KvBlocks written(KvPool& pool, std::uint8_t tenant, const std::vector<TokenId>& tokens) {
  KvBlocks blocks(pool, salt_of(tenant));
  (void)blocks.adopt(tokens);
  EXPECT_TRUE(blocks.try_cover(static_cast<std::int64_t>(tokens.size())));
  blocks.publish(tokens, static_cast<std::int32_t>(tokens.size()));
  return blocks;
}

TEST(KvPool, APrefixIsFoundByItsOwnTenantOnly) {
  KvPool pool(8);
  const auto tokens = counted(200);
  const KvBlocks first = written(pool, 1, tokens);
  KvBlocks same(pool, salt_of(1));
  EXPECT_EQ(same.adopt(tokens), 192);
  EXPECT_TRUE(std::ranges::equal(same.table(), first.table().first(3)));
  EXPECT_EQ(pool.blocks_used(), 4) << "shared blocks count once";
  KvBlocks other(pool, salt_of(2));
  EXPECT_EQ(other.adopt(tokens), 0);
  KvBlocks nobody(pool);
  EXPECT_EQ(nobody.adopt(tokens), 0);
}

TEST(KvPool, WithoutASaltNothingIsLeftToFind) {
  KvPool pool(8);
  const auto tokens = counted(130);
  {
    KvBlocks blocks(pool);
    ASSERT_TRUE(blocks.try_cover(130));
    blocks.publish(tokens, 130);
  }
  EXPECT_EQ(pool.blocks_idle(), 0);
}

TEST(KvPool, OneTokenIsAlwaysLeftToCompute) {
  KvPool pool(8);
  (void)written(pool, 1, counted(128));
  KvBlocks same(pool, salt_of(1));
  EXPECT_EQ(same.adopt(counted(128)), 64);
  KvBlocks longer(pool, salt_of(1));
  EXPECT_EQ(longer.adopt(counted(129)), 128);
}

TEST(KvPool, OnlyFullBlocksThatWereComputedAreFound) {
  KvPool pool(8);
  const auto tokens = counted(200);
  KvBlocks writer(pool, salt_of(1));
  ASSERT_TRUE(writer.try_cover(200));
  writer.publish(tokens, 127);
  KvBlocks reader(pool, salt_of(1));
  EXPECT_EQ(reader.find(tokens).blocks, 1);
  writer.publish(tokens, 128);
  EXPECT_EQ(reader.find(tokens).blocks, 2);
}

TEST(KvPool, ADifferentTokenEndsTheMatch) {
  KvPool pool(8);
  (void)written(pool, 1, counted(200));
  auto tokens = counted(200);
  tokens[70] = 9999;
  KvBlocks reader(pool, salt_of(1));
  EXPECT_EQ(reader.adopt(tokens), 64) << "the third block is equal, but what it follows is not";
}

TEST(KvPool, IdleBlocksAreFreeAndTheOneIdleLongestGoesFirst) {
  KvPool pool(4);
  (void)written(pool, 1, counted(64, 0));
  (void)written(pool, 1, counted(64, 1000));
  EXPECT_EQ(pool.blocks_idle(), 2);
  EXPECT_EQ(pool.blocks_free(), 4);
  {
    KvBlocks used(pool, salt_of(1));
    EXPECT_EQ(used.adopt(counted(65, 0)), 64) << "used again: now the other one is idle longest";
  }
  KvBlocks hog(pool);
  ASSERT_TRUE(hog.try_cover(3 * kKvBlockTokens));
  KvBlocks reader(pool, salt_of(1));
  EXPECT_EQ(reader.find(counted(65, 0)).blocks, 1);
  EXPECT_EQ(reader.find(counted(65, 0)).in_use, 0);
  KvBlocks second(pool, salt_of(1));
  EXPECT_EQ(second.find(counted(65, 1000)).blocks, 0);
}

TEST(KvPool, APrefixOutlivesWhatFollowsIt) {
  KvPool pool(3);
  (void)written(pool, 1, counted(192));
  KvBlocks hog(pool);
  ASSERT_TRUE(hog.try_cover(2 * kKvBlockTokens));
  KvBlocks reader(pool, salt_of(1));
  EXPECT_EQ(reader.find(counted(200)).blocks, 1);
}

TEST(KvPool, TwoThatComputeTheSameEndUpSharing) {
  KvPool pool(8);
  const auto tokens = counted(130);
  KvBlocks first(pool, salt_of(1));
  KvBlocks second(pool, salt_of(1));
  ASSERT_TRUE(first.try_cover(130));
  ASSERT_TRUE(second.try_cover(130));
  EXPECT_EQ(pool.blocks_used(), 6);
  first.publish(tokens, 130);
  second.publish(tokens, 130);
  EXPECT_EQ(pool.blocks_used(), 4);
  EXPECT_TRUE(std::ranges::equal(first.table().first(2), second.table().first(2)));
  EXPECT_NE(first.table()[2], second.table()[2]) << "the last one is still written";
}

TEST(KvPool, WhatIsForgottenIsNotFoundAndNotLeaked) {
  KvPool pool(8);
  const auto tokens = counted(200);
  KvBlocks faulty = written(pool, 1, tokens);
  KvBlocks reader(pool, salt_of(1));
  ASSERT_EQ(reader.adopt(tokens), 192);
  faulty.forget();
  KvBlocks late(pool, salt_of(1));
  EXPECT_EQ(late.find(tokens).blocks, 0);
  // The reader goes on with what it has, and leaves nothing behind.
  ASSERT_TRUE(reader.try_cover(256));
  auto longer = tokens;
  longer.resize(256, 7);
  reader.publish(longer, 256);
  EXPECT_EQ(late.find(longer).blocks, 0);
  reader.release();
  faulty.release();
  EXPECT_EQ(pool.blocks_idle(), 0);
  EXPECT_EQ(pool.blocks_free(), 8);
}

// Against the obvious model: a set of (salt, tokens of the whole prefix) that were published. What is found must be in it,
// and the states of all blocks must add up after every step.
TEST(KvPoolProperty, NothingOfAnotherSaltOrTextIsEverFound) {
  std::int64_t hits = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const auto total = static_cast<std::int32_t>(4 + rng.below(20));
    KvPool pool(total);
    struct Live {
      std::uint8_t tenant;
      std::vector<TokenId> tokens;
      std::unique_ptr<KvBlocks> blocks;
    };
    std::deque<Live> live;
    // What each block holds, as its last writer knows: tenant and prefix.
    std::vector<std::pair<std::uint8_t, std::vector<TokenId>>> holds(static_cast<std::size_t>(total));
    for (int step = 0; step < 300; ++step) {
      const std::uint64_t what = rng.below(10);
      if (what < 5) {
        Live one{static_cast<std::uint8_t>(rng.below(3)), {}, nullptr};
        // Few distinct blocks, so that prefixes meet often, also across tenants.
        const std::uint64_t count = 1 + rng.below(4);
        for (std::uint64_t n = 0; n < count; ++n) one.tokens.resize(one.tokens.size() + 64, static_cast<TokenId>(rng.below(2)));
        one.tokens.resize(one.tokens.size() + rng.below(64), 5);
        one.blocks = std::make_unique<KvBlocks>(pool, salt_of(one.tenant));
        const auto found = static_cast<std::size_t>(one.blocks->adopt(one.tokens));
        ASSERT_LT(found, one.tokens.size());
        hits += found > 0 ? 1 : 0;
        for (std::size_t n = 0; n * 64 < found; ++n) {
          const auto& [tenant, prefix] = holds[static_cast<std::size_t>(one.blocks->table()[n])];
          ASSERT_EQ(tenant, one.tenant) << "a block crossed tenants";
          ASSERT_TRUE(std::ranges::equal(prefix, std::span(one.tokens).first((n + 1) * 64)));
        }
        if (!one.blocks->try_cover(static_cast<std::int64_t>(one.tokens.size()))) continue;
        for (std::size_t n = found / 64; (n + 1) * 64 <= one.tokens.size(); ++n) {
          const auto prefix = std::span(one.tokens).first((n + 1) * 64);
          holds[static_cast<std::size_t>(one.blocks->table()[n])] =
              std::pair(one.tenant, std::vector<TokenId>(prefix.begin(), prefix.end()));
        }
        one.blocks->publish(one.tokens, static_cast<std::int32_t>(one.tokens.size()));
        live.push_back(std::move(one));
      } else if (!live.empty()) {
        const auto at = static_cast<std::ptrdiff_t>(rng.below(live.size()));
        if (what == 9) live[static_cast<std::size_t>(at)].blocks->forget();
        live.erase(live.begin() + at);
      }
      std::vector<std::int32_t> owned(static_cast<std::size_t>(total), 0);
      for (const Live& one : live) {
        for (const std::int32_t block : one.blocks->table()) ++owned[static_cast<std::size_t>(block)];
      }
      ASSERT_TRUE(pool.is_consistent(owned));
    }
    live.clear();
    EXPECT_EQ(pool.blocks_free(), total);
  }
  EXPECT_GT(hits, 1000);
}

}  // namespace
}  // namespace tidegate::worker::kv_pool_test
