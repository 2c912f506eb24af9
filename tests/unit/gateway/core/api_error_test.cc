#include "gateway/core/api_error.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

int status_of(Code code, const char* reason) { return to_api_error(Error(code, reason, "m")).http_status; }

TEST(ApiError, EveryFamilyHasItsStatus) {
  EXPECT_EQ(status_of(Code::kInvalidArgument, "invalid_json"), 400);
  EXPECT_EQ(status_of(Code::kInvalidArgument, "request_too_large"), 413);
  EXPECT_EQ(status_of(Code::kInvalidArgument, "unsupported_media_type"), 415);
  EXPECT_EQ(status_of(Code::kInvalidArgument, "content_policy"), 400);
  EXPECT_EQ(to_api_error(Error(Code::kInvalidArgument, "content_policy", "m")).code, "content_filter");
  EXPECT_EQ(status_of(Code::kUnavailable, "guard_unavailable"), 503);
  EXPECT_EQ(status_of(Code::kUnauthenticated, "invalid_api_key"), 401);
  EXPECT_EQ(status_of(Code::kResourceExhausted, "insufficient_balance"), 402);
  EXPECT_EQ(status_of(Code::kResourceExhausted, "budget_exceeded"), 402);
  EXPECT_EQ(status_of(Code::kPermissionDenied, "model_not_allowed"), 403);
  EXPECT_EQ(status_of(Code::kPermissionDenied, "source_not_allowed"), 403);
  EXPECT_EQ(status_of(Code::kInvalidArgument, "idempotency_mismatch"), 400);
  EXPECT_EQ(status_of(Code::kAborted, "idempotency_in_flight"), 409);
  EXPECT_EQ(status_of(Code::kFailedPrecondition, "idempotency_outcome_unknown"), 410);
  EXPECT_EQ(status_of(Code::kNotFound, "model_not_found"), 404);
  EXPECT_EQ(status_of(Code::kUnimplemented, "method_not_allowed"), 405);
  EXPECT_EQ(status_of(Code::kResourceExhausted, "rate_limit_exceeded"), 429);
  EXPECT_EQ(status_of(Code::kResourceExhausted, "queue_timeout"), 503);
  EXPECT_EQ(status_of(Code::kUnavailable, "worker_lost"), 503);
  EXPECT_EQ(status_of(Code::kFailedPrecondition, "price_missing"), 503);
  EXPECT_EQ(status_of(Code::kDeadlineExceeded, "deadline_exceeded"), 504);
}

TEST(ApiError, AnEmptyWalletAndASpentCapAreNeverRetried) {
  for (const char* reason : {"insufficient_balance", "budget_exceeded"}) {
    const Error spent(Code::kResourceExhausted, reason, "m");
    const ApiError error = to_api_error(Refusal(spent, std::chrono::hours(1)));
    EXPECT_EQ(error.http_status, 402) << "two SDKs of three send a 429 again, whatever its headers say";
    EXPECT_EQ(error.type, "insufficient_quota");
    EXPECT_EQ(error.code, reason);
    EXPECT_FALSE(error.should_retry);
    EXPECT_EQ(error.retry_after_s, 0);
  }
}

TEST(ApiError, AllKeyProblemsLookTheSame) {
  EXPECT_EQ(to_api_error(Error(Code::kUnauthenticated, "whatever", "m")).code, "invalid_api_key");
}

TEST(ApiError, RetryAfterIsTheEstimateRoundedUpAndShort) {
  const Error error(Code::kResourceExhausted, "queue_full", "m");
  EXPECT_EQ(to_api_error(Refusal(error, std::chrono::milliseconds(2'100))).retry_after_s, 3);
  EXPECT_EQ(to_api_error(Refusal(error, std::chrono::milliseconds(0))).retry_after_s, 1);
  EXPECT_EQ(to_api_error(Refusal(error, std::chrono::milliseconds(2'100))).retry_after_ms, 2'100);
  EXPECT_EQ(to_api_error(Refusal(error, std::chrono::milliseconds(0))).retry_after_ms, 1'000);
  EXPECT_EQ(to_api_error(Refusal(Error(Code::kUnavailable, "worker_lost", "m"), std::chrono::hours(2))).retry_after_s, 60);
}

TEST(ApiError, AQueueThatIsPromisedAwayForMinutesTellsTheTruthAndNotToWaitInTheCall) {
  const ApiError error =
      to_api_error(Refusal(Error(Code::kResourceExhausted, "queue_full", "m"), std::chrono::seconds(75)));
  EXPECT_EQ(error.http_status, 503);
  EXPECT_EQ(error.retry_after_s, 75);
  EXPECT_EQ(error.retry_after_ms, 0);
  EXPECT_FALSE(error.should_retry);
}

TEST(ApiError, APredictedWaitIsTold) {
  Refusal refusal(Error(Code::kResourceExhausted, "would_be_late", "m"), std::chrono::seconds(2));
  EXPECT_FALSE(to_api_error(refusal).queue_wait_ms.has_value());
  refusal.queue_wait = std::chrono::microseconds(1'234'100);
  EXPECT_EQ(to_api_error(refusal).queue_wait_ms, 1'235);
  EXPECT_EQ(to_api_error(refusal).http_status, 503);
}

TEST(ApiError, ALimitOfADaySaysWhenItIsBackAndThatWaitingInTheCallIsInVain) {
  const Error error(Code::kResourceExhausted, "rate_limit_exceeded", "m");
  const ApiError soon = to_api_error(Refusal(error, std::chrono::milliseconds(11'200)));
  EXPECT_EQ(soon.http_status, 429);
  EXPECT_EQ(soon.type, "rate_limit_error");
  EXPECT_EQ(soon.retry_after_s, 12);
  EXPECT_TRUE(soon.should_retry);
  const ApiError tomorrow = to_api_error(Refusal(error, std::chrono::hours(16)));
  EXPECT_EQ(tomorrow.retry_after_s, 57'600);
  EXPECT_FALSE(tomorrow.should_retry);
}

TEST(ApiError, InternalWordsDoNotLeak) {
  const ApiError error = to_api_error(Error(Code::kInternal, "null_lease", "pointer 0x1234 was null", "secret"));
  EXPECT_EQ(error.http_status, 500);
  EXPECT_EQ(error.code, "internal_error");
  EXPECT_EQ(error.message.find("0x1234"), std::string::npos);
  EXPECT_TRUE(error.param.empty());
}

TEST(ApiError, JsonAlwaysHasAllFourKeysAndEscapes) {
  std::string out;
  append_error_json(out, to_api_error(Error(Code::kInvalidArgument, "bad", "say \"hi\"\n", "")));
  EXPECT_EQ(out, R"({"error":{"message":"say \"hi\"\n","type":"invalid_request_error","param":null,"code":"bad"}})");
  out.clear();
  append_error_json(out, to_api_error(Error(Code::kInvalidArgument, "bad", "m", "messages[0].role")));
  EXPECT_NE(out.find(R"("param":"messages[0].role")"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::gateway
