#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "base/core/check.h"
#include "base/core/random.h"
#include "tests/unit/worker/engine/cache_salts.h"
#include "worker/backend/backend.h"
#include "worker/engine/schedule.h"

namespace tidegate::worker {
namespace {

using testing::ElementsAre;

class FairScheduleTest : public testing::Test {
 protected:
  FairScheduleTest() {
    auto loaded = Tokenizer::load(TG_SOURCE_DIR "/models/tang-moe");
    TG_CHECK(loaded.has_value());
    tokenizer_ = std::make_unique<Tokenizer>(*std::move(loaded));
    rules_ = {tokenizer_.get(), {1}, 6112};
  }

  static std::unique_ptr<Sequence> sequence(KvPool& pool, SequenceHandle handle, std::uint8_t tenant,
                                            std::int32_t prompt, std::int32_t completion_max = 1000) {
    return std::make_unique<Sequence>(
        Sequence::Request{.handle = handle,
                          .prompt = std::vector<TokenId>(static_cast<std::size_t>(prompt), 5),
                          .sampler = {},
                          .completion_max = completion_max,
                          .stops = {},
                          .tenant = salt_of(tenant)},
        pool);
  }

  static std::vector<SequenceHandle> admitted(Schedule& schedule) {
    std::vector<SequenceHandle> handles;
    for (const Sequence* entered : schedule.admit()) handles.push_back(entered->handle());
    return handles;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  TokenRules rules_;
};

TEST_F(FairScheduleTest, WhoSendsOneRequestIsNextDespiteAnotherTenantsHundred) {
  KvPool pool(64);
  Schedule schedule({2, 64}, pool);
  for (SequenceHandle handle = 1; handle <= 100; ++handle) schedule.add(sequence(pool, handle, 1, 10));
  ASSERT_THAT(admitted(schedule), ElementsAre(1, 2));
  schedule.add(sequence(pool, 1000, 2, 50));
  schedule.remove(1);
  EXPECT_THAT(admitted(schedule), ElementsAre(1000));
  schedule.remove(2);
  schedule.remove(1000);
  EXPECT_THAT(admitted(schedule), ElementsAre(3, 4));
}

TEST_F(FairScheduleTest, WhatAnAnswerSaysCounts) {
  KvPool pool(64);
  Schedule schedule({1, 64}, pool);
  for (SequenceHandle handle = 1; handle <= 3; ++handle) schedule.add(sequence(pool, handle, 1, 10));
  ASSERT_THAT(admitted(schedule), ElementsAre(1));
  schedule.add(sequence(pool, 1000, 2, 50));
  // They are even when it comes; one token later they are not.
  Sequence& first = *schedule.find(1);
  first.advance(10);
  (void)first.on_token(7, rules_);
  schedule.remove(1);
  EXPECT_THAT(admitted(schedule), ElementsAre(1000));
}

TEST_F(FairScheduleTest, IdlingEarnsNoCredit) {
  KvPool pool(64);
  Schedule schedule({1, 64}, pool);
  for (SequenceHandle handle = 1; handle <= 30; ++handle) schedule.add(sequence(pool, handle, 1, 10));
  for (SequenceHandle handle = 1; handle <= 10; ++handle) {
    ASSERT_THAT(admitted(schedule), ElementsAre(handle));
    schedule.remove(handle);
  }
  for (SequenceHandle handle = 101; handle <= 130; ++handle) schedule.add(sequence(pool, handle, 2, 10));
  std::int32_t late = 0;
  for (std::int32_t turn = 0; turn < 10; ++turn) {
    const auto entered = admitted(schedule);
    ASSERT_EQ(entered.size(), 1U);
    late += entered.front() > 100 ? 1 : 0;
    schedule.remove(entered.front());
  }
  EXPECT_EQ(late, 5);
}

TEST_F(FairScheduleTest, OneTenantIsServedInOrderOfArrival) {
  KvPool pool(64);
  Schedule schedule({3, 64}, pool);
  for (SequenceHandle handle = 1; handle <= 30; ++handle) {
    schedule.add(sequence(pool, handle, 1, static_cast<std::int32_t>(1 + handle * 37 % 60)));
  }
  SequenceHandle next = 1;
  for (SequenceHandle done = 1; done <= 30; ++done) {
    for (const SequenceHandle handle : admitted(schedule)) EXPECT_EQ(handle, next++);
    schedule.remove(done);
  }
  EXPECT_TRUE(schedule.empty());
}

TEST_F(FairScheduleTest, OfTheYoungerTheTenantServedMostLosesItsPlaceFirst) {
  KvPool pool(5);
  Schedule schedule({8, 256}, pool);
  schedule.add(sequence(pool, 1, 1, 63));
  schedule.add(sequence(pool, 2, 2, 60));
  schedule.add(sequence(pool, 3, 3, 10));
  ASSERT_THAT(admitted(schedule), ElementsAre(1, 2, 3));
  for (const StepPart& part : schedule.plan()) part.sequence->advance(part.count);
  KvBlocks hog(pool);
  ASSERT_TRUE(hog.try_cover(2 * kKvBlockTokens));
  for (const SequenceHandle handle : {1, 2, 3}) (void)schedule.find(handle)->on_token(7, rules_);
  schedule.find(1)->advance(1);
  (void)schedule.find(1)->on_token(7, rules_);
  schedule.add(sequence(pool, 4, 4, 1));
  // The oldest was served most and is safe; the last one admitted would have been next, had all been of one tenant.
  std::vector<SequenceHandle> fed;
  for (const StepPart& part : schedule.plan()) {
    fed.push_back(part.sequence->handle());
    part.sequence->advance(part.count);
  }
  EXPECT_THAT(fed, ElementsAre(1, 3));
  EXPECT_EQ(schedule.preemptions_total(), 1);
  // It is back before everybody who has not been in the batch yet, however little they were served.
  schedule.remove(1);
  hog.release();
  EXPECT_THAT(admitted(schedule), ElementsAre(2, 4));
}

// Tenants 0 and 1 always have somebody waiting, tenant 2 from the middle on. Prompts of 60 and answers of 30 at most,
// four at once; somebody else takes blocks of the pool now and then, so that sequences are thrown out.
TEST_F(FairScheduleTest, TenantsWhoAlwaysWaitAreServedAlikeUpToTheBound) {
  constexpr std::int64_t kBound = 2 * std::max(FairShare::kInputWeight * 60, FairShare::kOutputWeight * 4 * (60 + 30));
  std::int64_t preemptions = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const std::uint64_t blocks = 6 + rng.below(4);
    KvPool pool(static_cast<std::int32_t>(blocks));
    KvBlocks hog(pool);
    Schedule schedule({4, 64}, pool);
    std::array<std::int64_t, 3> served{};
    std::array<std::int32_t, 3> waiting{};
    std::map<SequenceHandle, std::size_t> tenant_of;
    SequenceHandle last = 0;
    const auto send = [&](std::size_t tenant) {
      const auto up_to = [&rng](std::uint64_t most) { return static_cast<std::int32_t>(1 + rng.below(most)); };
      const std::int32_t prompt = tenant == 0 ? 30 + up_to(30) : up_to(tenant == 1 ? 5 : 60);
      const std::int32_t answer = tenant == 1 ? up_to(3) : up_to(30);
      tenant_of[++last] = tenant;
      schedule.add(sequence(pool, last, static_cast<std::uint8_t>(tenant), prompt, answer));
      ++waiting[tenant];
    };
    const auto step = [&] {
      for (Sequence* entered : schedule.admit()) {
        if (entered->is_accepted()) continue;  // back after a preemption: at nobody's charge
        const std::size_t tenant = tenant_of.at(entered->handle());
        served[tenant] += FairShare::kInputWeight * entered->length();
        --waiting[tenant];
        (void)entered->accept();
      }
      for (const StepPart& part : schedule.plan()) {
        Sequence& one = *part.sequence;
        one.advance(part.count);
        if (one.computed() < one.length()) continue;
        served[tenant_of.at(one.handle())] += FairShare::kOutputWeight;
        const SequenceHandle handle = one.handle();
        if (one.on_token(7, rules_).finish) schedule.remove(handle);
      }
    };
    std::array<std::int64_t, 3> before{};
    for (int turn = 0; turn < 1200; ++turn) {
      const std::size_t tenants = turn < 400 ? 2 : 3;
      if (turn == 400) before = served;
      for (std::size_t tenant = 0; tenant < tenants; ++tenant) {
        while (waiting[tenant] < 5) send(tenant);
      }
      if (rng.below(16) == 0) {
        const bool holds = !hog.table().empty();
        hog.release();
        // Two blocks are what one sequence may need alone.
        if (!holds) (void)hog.try_cover(static_cast<std::int64_t>(1 + rng.below(blocks - 2)) * kKvBlockTokens);
      }
      step();
      for (std::size_t one = 0; one < tenants; ++one) {
        for (std::size_t other = 0; other < one; ++other) {
          const std::int64_t gap = (served[one] - before[one]) - (served[other] - before[other]);
          ASSERT_LE(std::abs(gap), kBound) << one << " and " << other << " in turn " << turn;
        }
      }
    }
    hog.release();
    for (int turn = 0; !schedule.empty(); ++turn) {
      ASSERT_LT(turn, 10'000) << "somebody never finishes";
      step();
    }
    EXPECT_EQ(pool.blocks_used(), 0);
    preemptions += schedule.preemptions_total();
  }
  EXPECT_GT(preemptions, 0);
}

TEST(FairShare, RemembersSoManyTenantsAndForgetsNobodyWhoIsThere) {
  FairShare share;
  FairShare::Tenant& there = share.wait(salt_of(255));
  share.enter(there, 10);
  for (std::size_t n = 0; n < 3 * FairShare::kTenantsMax; ++n) {
    CacheSalt salt = salt_of(1);
    salt[30] = static_cast<std::uint8_t>(n);
    salt[31] = static_cast<std::uint8_t>(n >> 8);
    share.give_up(share.wait(salt));
    ASSERT_LE(share.tenants(), FairShare::kTenantsMax);
  }
  EXPECT_EQ(&share.wait(salt_of(255)), &there);
  EXPECT_EQ(there.served, 10);
}

TEST(FairShare, WhoseLastOneLeftIsRemembered) {
  FairShare share;
  FairShare::Tenant& first = share.wait(salt_of(1));
  share.enter(first, 500);
  share.leave(first);
  // Nobody waits: whoever comes begins where the last one was, and who comes back as well.
  EXPECT_EQ(share.wait(salt_of(2)).served, 500);
  EXPECT_EQ(share.wait(salt_of(1)).served, 500);
}

}  // namespace
}  // namespace tidegate::worker
