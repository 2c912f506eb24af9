#include "gateway/core/idempotency.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

IdempotencyEntry entry(AnswerState state, Duration lease_left = {}) {
  return {.state = state,
          .digest = "same",
          .request_id = "0198f000-0000-7000-8000-000000000001",
          .lease_left = lease_left,
          .answer = {}};
}
ApiError told(const IdempotencyEntry& held, const char* digest = "same") {
  const auto refusal = refusal_of_repeat(held, digest);
  return refusal ? to_api_error(*refusal) : ApiError();
}

TEST(Idempotency, KeysAreVisibleAsciiOfABoundedLength) {
  EXPECT_TRUE(check_idempotency_key("7f1c2c2e-9d3e-4b8e-8f2d-2f6a0c1d7e55"));
  EXPECT_TRUE(check_idempotency_key(std::string(255, '~')));
  for (const std::string& key :
       {std::string(), std::string(256, 'a'), std::string("a b"), std::string("a\tb"), std::string("\xc3\xa9")}) {
    const Status status = check_idempotency_key(key);
    ASSERT_FALSE(status) << key;
    EXPECT_EQ(status.error().field, "Idempotency-Key");
  }
}

TEST(Idempotency, StateNamesComeBack) {
  for (const auto state : {AnswerState::kRunning, AnswerState::kCommitted, AnswerState::kKept, AnswerState::kDropped,
                           AnswerState::kUnknown}) {
    EXPECT_EQ(parse_answer_state(answer_state_name(state)), state);
  }
  EXPECT_FALSE(parse_answer_state("Running"));
}

TEST(Idempotency, AKeptAnswerIsForTheSameRequestOnly) {
  EXPECT_FALSE(refusal_of_repeat(entry(AnswerState::kKept), "same"));
  const ApiError other = told(entry(AnswerState::kKept), "another body");
  EXPECT_EQ(other.http_status, 400);
  EXPECT_EQ(other.code, "idempotency_mismatch");
  EXPECT_EQ(other.param, "Idempotency-Key");
  EXPECT_FALSE(other.should_retry);
}

TEST(Idempotency, AnotherRequestLearnsNothingOfTheFirstOnesOutcome) {
  for (const auto state :
       {AnswerState::kRunning, AnswerState::kCommitted, AnswerState::kDropped, AnswerState::kUnknown}) {
    const ApiError error = told(entry(state, std::chrono::seconds(5)), "another body");
    EXPECT_EQ(error.code, "idempotency_mismatch");
    EXPECT_EQ(error.message.find("0198f000"), std::string::npos);
  }
}

TEST(Idempotency, InFlightIsTheOnlyConflictAndSaysWhenToComeBack) {
  for (const auto& held : {entry(AnswerState::kRunning, std::chrono::seconds(5)),
                           entry(AnswerState::kCommitted, std::chrono::seconds(5))}) {
    const ApiError error = told(held);
    EXPECT_EQ(error.http_status, 409);
    EXPECT_TRUE(error.should_retry);
    EXPECT_GE(error.retry_after_s, 1);
  }
}

TEST(Idempotency, WhatMayHaveBeenChargedIsNeverRunAgainAndNamesItsRequest) {
  for (const auto& held :
       {entry(AnswerState::kCommitted), entry(AnswerState::kDropped), entry(AnswerState::kUnknown)}) {
    const ApiError error = told(held);
    EXPECT_EQ(error.http_status, 410) << answer_state_name(held.state);
    EXPECT_FALSE(error.should_retry);
    EXPECT_NE(error.message.find(held.request_id), std::string::npos);
    EXPECT_NE(error.message.find("charged"), std::string::npos);
  }
}

TEST(Idempotency, AStoreThatIsGoneIs503AndWorthARetry) {
  const ApiError error = to_api_error(idempotency_unavailable());
  EXPECT_EQ(error.http_status, 503);
  EXPECT_TRUE(error.should_retry);
}

}  // namespace
}  // namespace tidegate::gateway
