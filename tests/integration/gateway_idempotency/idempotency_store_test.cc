// One contract, two parts: the fake that unit tests use, and Redis.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/redis/redis_client.h"
#include "gateway/adapters/redis_idempotency.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_idempotency_store.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_coro.h"

namespace tidegate::gateway {
namespace {

using tidegate::test::run_coro;

tidegate::test::RedisServer& shared_server() {
  static tidegate::test::RedisServer server;
  return server;
}

enum class Part { kFake, kReal };

class IdempotencyStoreContract : public testing::TestWithParam<Part> {
 protected:
  void SetUp() override { store_ = make(std::chrono::seconds(20)); }

  /// One more gateway on the same names.
  std::unique_ptr<IdempotencyStore> make(std::chrono::milliseconds lease,
                                         std::chrono::milliseconds time_to_live = std::chrono::hours(24)) {
    if (GetParam() == Part::kFake)
      return std::make_unique<test::FakeIdempotencyStore>(names_, clock_, lease, time_to_live);
    if (!redis_) {
      RedisOptions options;
      options.address = shared_server().address();
      redis_ = RedisClient::start(context_.get_executor(), std::move(options), log_, metrics_, 1).value();
      EXPECT_TRUE(run_coro(context_, redis_->wait_connected(Deadline::after(clock_.mono(), std::chrono::seconds(20)))));
    }
    RedisIdempotencyOptions options;
    options.lease = lease;
    options.time_to_live = time_to_live;
    options.wait_max = std::chrono::seconds(20);
    return std::make_unique<RedisIdempotency>(*redis_, options, clock_);
  }
  /// A name no other test uses.
  static std::string name() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }

  Result<std::optional<IdempotencyEntry>> claim(IdempotencyStore& store, const std::string& owner,
                                                const std::string& digest = "digest") {
    return run_coro(context_, store.claim(name(), digest, owner));
  }
  bool is_claimed(IdempotencyStore& store, const std::string& owner) {
    const auto claimed = claim(store, owner);
    EXPECT_TRUE(claimed) << claimed.error().to_string();
    return claimed && !claimed->has_value();
  }
  IdempotencyEntry held(IdempotencyStore& store, const std::string& digest = "digest") {
    const auto found = claim(store, "somebody else", digest);
    EXPECT_TRUE(found && found->has_value());
    return found && found->has_value() ? **found : IdempotencyEntry();
  }
  Status commit(const std::string& owner) { return run_coro(context_, store_->commit(name(), owner)); }
  Status renew(const std::string& owner) { return run_coro(context_, store_->renew(name(), owner)); }
  Status release(const std::string& owner) { return run_coro(context_, store_->release(name(), owner)); }
  Status finish(const std::string& owner, AnswerState state, std::string answer = {}) {
    return run_coro(context_, store_->finish(name(), owner, state, std::move(answer)));
  }

  asio::io_context context_{1};
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry metrics_;
  test::SharedNames names_;
  std::unique_ptr<RedisClient> redis_;
  std::unique_ptr<IdempotencyStore> store_;
};

TEST_P(IdempotencyStoreContract, OneClaimWinsAndTheOthersSeeIt) {
  auto other_gateway = make(std::chrono::seconds(20));
  EXPECT_TRUE(is_claimed(*store_, "first"));
  const IdempotencyEntry seen = held(*other_gateway);
  EXPECT_EQ(seen.state, AnswerState::kRunning);
  EXPECT_EQ(seen.digest, "digest");
  EXPECT_EQ(seen.request_id, "first");
  EXPECT_GT(seen.lease_left, std::chrono::seconds(10));
  EXPECT_LE(seen.lease_left, std::chrono::seconds(20));
}

TEST_P(IdempotencyStoreContract, AnAnswerComesBackByteForByteOnEveryGateway) {
  std::string answer;
  for (int byte = 0; byte < 256; ++byte) answer += static_cast<char>(byte);
  ASSERT_TRUE(is_claimed(*store_, "first"));
  ASSERT_TRUE(commit("first"));
  EXPECT_EQ(held(*store_).state, AnswerState::kCommitted);
  ASSERT_TRUE(finish("first", AnswerState::kKept, answer));
  auto other_gateway = make(std::chrono::seconds(20));
  const IdempotencyEntry seen = held(*other_gateway, "another digest");
  EXPECT_EQ(seen.state, AnswerState::kKept);
  EXPECT_EQ(seen.digest, "digest") << "whoever asks compares";
  EXPECT_EQ(seen.answer, answer);
}

TEST_P(IdempotencyStoreContract, TheOtherEndsAreRememberedWithoutAnAnswer) {
  ASSERT_TRUE(is_claimed(*store_, "first"));
  ASSERT_TRUE(finish("first", AnswerState::kDropped));
  EXPECT_EQ(held(*store_).state, AnswerState::kDropped);
  EXPECT_EQ(held(*store_).answer, "");
}

TEST_P(IdempotencyStoreContract, WhatWasReleasedIsFreeAgain) {
  ASSERT_TRUE(is_claimed(*store_, "first"));
  ASSERT_TRUE(release("first"));
  EXPECT_TRUE(is_claimed(*store_, "second"));
}

TEST_P(IdempotencyStoreContract, OnlyTheOwnerOfAnOpenClaimMovesIt) {
  ASSERT_TRUE(is_claimed(*store_, "first"));
  EXPECT_EQ(commit("second").error().reason, "claim_lost");
  EXPECT_EQ(renew("second").error().reason, "claim_lost");
  EXPECT_EQ(release("second").error().reason, "claim_lost");
  EXPECT_EQ(finish("second", AnswerState::kKept).error().reason, "claim_lost");
  ASSERT_TRUE(finish("first", AnswerState::kUnknown));
  EXPECT_EQ(commit("first").error().reason, "claim_lost") << "it has ended";
  EXPECT_EQ(release("first").error().reason, "claim_lost");
  EXPECT_EQ(held(*store_).state, AnswerState::kUnknown);
}

TEST_P(IdempotencyStoreContract, ARunningClaimLapsesWithItsGatewayForTheSameRequestOnly) {
  auto dying = make(std::chrono::milliseconds(30));
  ASSERT_TRUE(is_claimed(*dying, "first"));
  ASSERT_TRUE(
      tidegate::test::eventually([&] { return held(*store_, "another digest").lease_left == Duration::zero(); }));
  EXPECT_TRUE(is_claimed(*store_, "second"));
  EXPECT_EQ(commit("first").error().reason, "claim_lost") << "a gateway that was only slow charges nothing";
  EXPECT_TRUE(commit("second"));
}

TEST_P(IdempotencyStoreContract, ACommittedClaimLapsesButIsNeverTakenOver) {
  auto dying = make(std::chrono::milliseconds(30));
  ASSERT_TRUE(is_claimed(*dying, "first"));
  ASSERT_TRUE(run_coro(context_, dying->commit(name(), "first")));
  ASSERT_TRUE(tidegate::test::eventually([&] { return held(*store_).lease_left == Duration::zero(); }));
  EXPECT_EQ(held(*store_).state, AnswerState::kCommitted);
  EXPECT_EQ(held(*store_).request_id, "first");
}

TEST_P(IdempotencyStoreContract, ARenewalKeepsAClaim) {
  auto short_lease = make(std::chrono::milliseconds(50));
  ASSERT_TRUE(is_claimed(*short_lease, "first"));
  ASSERT_TRUE(renew("first")) << "for the long lease of this one";
  EXPECT_GT(held(*store_).lease_left, std::chrono::seconds(10));
}

TEST_P(IdempotencyStoreContract, EverythingIsForgottenInItsTime) {
  auto forgetful = make(std::chrono::seconds(20), std::chrono::milliseconds(40));
  ASSERT_TRUE(is_claimed(*forgetful, "first"));
  EXPECT_TRUE(tidegate::test::eventually([&] { return is_claimed(*store_, "second"); })) << "whatever its lease";
  ASSERT_TRUE(run_coro(context_, forgetful->finish(name(), "second", AnswerState::kKept, "answer")));
  EXPECT_TRUE(tidegate::test::eventually([&] { return is_claimed(*store_, "third"); }));
}

INSTANTIATE_TEST_SUITE_P(Parts, IdempotencyStoreContract, testing::Values(Part::kFake, Part::kReal),
                         [](const auto& part) { return part.param == Part::kFake ? "Fake" : "Real"; });

}  // namespace
}  // namespace tidegate::gateway
