#include "gateway/core/request_flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tidegate::gateway::request_flow_test {
namespace {

using enum FlowAction;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<FlowAction> v(const FlowActions& actions) { return {actions.begin(), actions.end()}; }

FlowEvent accepted(std::int64_t prompt) { return {.accepted = true, .usage = {.prompt = prompt, .cached = 1}}; }
FlowEvent text(std::int64_t prompt, std::int64_t completion) {
  return {.has_text = true, .usage = {.prompt = prompt, .cached = 1, .completion = completion}};
}
FlowEvent ended(SequenceEnd end, std::int64_t prompt, std::int64_t completion) {
  FlowEvent event = text(prompt, completion);
  event.end = end;
  return event;
}
FlowEvent failed(Code code, const char* reason) {
  FlowEvent event;
  event.end = SequenceEnd::kError;
  event.error = Error(code, reason, "m", "messages");
  return event;
}

RequestFlow queued(bool is_stream = true) {
  RequestFlow flow(is_stream);
  flow.on_checked(std::nullopt);
  flow.on_admitted({});
  return flow;
}
RequestFlow starting(bool is_stream = true) {
  RequestFlow flow = queued(is_stream);
  flow.on_dispatched();
  return flow;
}
RequestFlow streaming(bool is_stream = true) {
  RequestFlow flow = starting(is_stream);
  flow.on_worker_event(accepted(10));
  flow.on_worker_event(text(10, 3));
  return flow;
}

TEST(RequestFlow, HappyStreamFromCheckToFinal) {
  RequestFlow flow(true);
  EXPECT_THAT(v(flow.on_checked(std::nullopt)), ElementsAre(kAdmit));
  EXPECT_THAT(v(flow.on_admitted({})), ElementsAre(kEnqueue));
  EXPECT_THAT(v(flow.on_dispatched()), IsEmpty());
  EXPECT_THAT(v(flow.on_worker_event(accepted(10))), ElementsAre(kReportAccepted));
  EXPECT_THAT(v(flow.on_worker_event(text(10, 3))), ElementsAre(kReportProgress, kDeliver));
  EXPECT_THAT(v(flow.on_worker_event(ended(SequenceEnd::kStop, 10, 5))), ElementsAre(kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kCompleted);
  EXPECT_EQ(flow.finish_reason(), "stop");
  EXPECT_EQ(flow.usage().completion, 5);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyFinal));
  EXPECT_TRUE(flow.is_done());
}

TEST(RequestFlow, AFilteredAnswerEndsLikeAWholeOneAndIsChargedAsDelivered) {
  RequestFlow flow = streaming();
  FlowEvent event = ended(SequenceEnd::kFiltered, 10, 3);
  EXPECT_THAT(v(flow.on_worker_event(event)), ElementsAre(kSettle)) << "whoever filtered it has told the worker";
  EXPECT_EQ(flow.outcome(), Outcome::kCancelled) << "its worker made more of it";
  EXPECT_EQ(flow.finish_reason(), "content_filter");
  EXPECT_EQ(flow.usage().completion, 3);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyFinal));
}

TEST(RequestFlow, ARequestOverARateLimitIsRefusedBeforeThereIsAHold) {
  RequestFlow flow(true);
  EXPECT_THAT(v(flow.on_checked(std::nullopt)), ElementsAre(kAdmit));
  EXPECT_THAT(v(flow.on_rate_refused(Error(Code::kResourceExhausted, "rate_limit_exceeded", "m"))),
              ElementsAre(kReplyError));
  EXPECT_TRUE(flow.is_done());
  EXPECT_EQ(flow.refusal().error.reason, "rate_limit_exceeded");
}

TEST(RequestFlow, CollectedAnswerReportsNoProgressBecauseNothingLeft) {
  RequestFlow flow = starting(false);
  flow.on_worker_event(accepted(10));
  EXPECT_THAT(v(flow.on_worker_event(text(10, 3))), ElementsAre(kDeliver));
}

TEST(RequestFlow, OneStepAnswerIsAcceptedAndSettled) {
  RequestFlow flow = starting();
  FlowEvent event = ended(SequenceEnd::kLength, 10, 1);
  event.accepted = true;
  EXPECT_THAT(v(flow.on_worker_event(event)), ElementsAre(kReportAccepted, kSettle));
  EXPECT_EQ(flow.finish_reason(), "length");
}

TEST(RequestFlow, AnAnswerThatEndsInCallsIsCompleteAndSaysSo) {
  RequestFlow flow = streaming();
  EXPECT_THAT(v(flow.on_worker_event(ended(SequenceEnd::kToolCalls, 10, 9))), ElementsAre(kSettle));
  EXPECT_EQ(flow.finish_reason(), "tool_calls");
  EXPECT_EQ(flow.outcome(), Outcome::kCompleted);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyFinal));
}

TEST(RequestFlow, AWorkerThatLosesCountDoesNotMakeTheAnswerFree) {
  for (const FlowEvent& lost : {ended(SequenceEnd::kStop, 0, 0), ended(SequenceEnd::kStop, 10, 2), text(10, 2), text(9, 4)}) {
    RequestFlow flow = streaming();
    EXPECT_THAT(v(flow.on_worker_event(lost)), ElementsAre(kLeaveWorker, kSettle));
    EXPECT_EQ(flow.outcome(), Outcome::kFailed);
    EXPECT_EQ(flow.refusal().error.reason, "usage_lost");
    EXPECT_EQ(flow.usage().prompt, 10);
    EXPECT_EQ(flow.usage().completion, 3) << "what the client has";
  }
  RequestFlow flow = starting();
  flow.on_worker_event(ended(SequenceEnd::kStop, 0, 0));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed) << "an answer without its prompt";
}

TEST(RequestFlow, CountsThatDoNotFitEachOtherAreNeverBilled) {
  const TokenUsage odd[] = {{.prompt = 10, .cached = 11, .completion = 5, .reasoning = 0},
                            {.prompt = 10, .cached = -1, .completion = 5, .reasoning = 0},
                            {.prompt = 10, .cached = 0, .completion = 5, .reasoning = 6},
                            {.prompt = 10, .cached = 0, .completion = 5, .reasoning = -1}};
  for (const TokenUsage& usage : odd) {
    FlowEvent first = accepted(10), next = text(10, 5), last = ended(SequenceEnd::kStop, 10, 5);
    first.usage = next.usage = last.usage = usage;
    RequestFlow fresh = starting();
    EXPECT_THAT(v(fresh.on_worker_event(first)), ElementsAre(kLeaveWorker, kSettle));
    EXPECT_EQ(fresh.usage(), TokenUsage()) << "nothing was delivered";
    for (const FlowEvent& event : {next, last}) {
      RequestFlow flow = streaming();
      EXPECT_THAT(v(flow.on_worker_event(event)), ElementsAre(kLeaveWorker, kSettle));
      EXPECT_EQ(flow.refusal().error.reason, "usage_lost");
      EXPECT_EQ(flow.usage().completion, 3) << "what the client has";
    }
  }
}

TEST(RequestFlow, RefusedCheckHoldsNothing) {
  RequestFlow flow(true);
  EXPECT_THAT(v(flow.on_checked(Refusal(Error(Code::kUnauthenticated, "invalid_api_key", "m")))),
              ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.reason, "invalid_api_key");
  EXPECT_TRUE(flow.is_done());
}

TEST(RequestFlow, RefusedAdmissionSettlesNothing) {
  RequestFlow flow(true);
  flow.on_checked(std::nullopt);
  EXPECT_THAT(v(flow.on_admitted(fail(Code::kResourceExhausted, "insufficient_balance", "m"))),
              ElementsAre(kReplyError));
}

TEST(RequestFlow, QueueTimeoutReleasesTheHoldThenAnswers) {
  RequestFlow flow = queued();
  const Refusal refusal(Error(Code::kResourceExhausted, "queue_timeout", "m"), std::chrono::seconds(7));
  EXPECT_THAT(v(flow.on_queue_refused(refusal)), ElementsAre(kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().retry_after, std::chrono::seconds(7));
}

TEST(RequestFlow, ClientGoneWhileAdmittingReleasesTheHoldSilently) {
  RequestFlow flow(true);
  flow.on_checked(std::nullopt);
  EXPECT_THAT(v(flow.on_client_gone()), IsEmpty());
  EXPECT_THAT(v(flow.on_admitted({})), ElementsAre(kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kCancelled);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kClose));
}

TEST(RequestFlow, ClientGoneWhileAdmissionFailsJustCloses) {
  RequestFlow flow(true);
  flow.on_checked(std::nullopt);
  flow.on_client_gone();
  EXPECT_THAT(v(flow.on_admitted(fail(Code::kUnavailable, "billing_unreachable", "m"))), ElementsAre(kClose));
}

TEST(RequestFlow, ClientGoneWhileQueuedCostsNothing) {
  RequestFlow flow = queued();
  EXPECT_THAT(v(flow.on_client_gone()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kCancelled);
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kClose));
}

TEST(RequestFlow, ClientGoneBeforeTheFirstTokenPaysThePromptTheWorkerRead) {
  RequestFlow flow = starting();
  flow.on_worker_event(accepted(10));
  EXPECT_THAT(v(flow.on_client_gone()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.usage(), (TokenUsage{.prompt = 10, .cached = 1}));
}

TEST(RequestFlow, ClientGoneMidStreamPaysWhatWasDelivered) {
  RequestFlow flow = streaming();
  EXPECT_THAT(v(flow.on_client_gone()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.usage(), (TokenUsage{.prompt = 10, .cached = 1, .completion = 3}));
  EXPECT_EQ(flow.finish_reason(), "cancelled");
  EXPECT_THAT(v(flow.on_worker_event(text(10, 4))), IsEmpty());
  EXPECT_EQ(flow.usage().completion, 3);
}

TEST(RequestFlow, ClientGoneWhileCollectingPaysWhatWasCollectedForIt) {
  RequestFlow flow = streaming(false);
  EXPECT_THAT(v(flow.on_client_gone()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kCancelled);
  EXPECT_EQ(flow.usage(), (TokenUsage{.prompt = 10, .cached = 1, .completion = 3}));
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kClose));
}

TEST(RequestFlow, ClientGoneAfterTheLastTokenStaysCompleted) {
  RequestFlow flow = streaming();
  flow.on_worker_event(ended(SequenceEnd::kStop, 10, 5));
  EXPECT_THAT(v(flow.on_client_gone()), IsEmpty());
  EXPECT_EQ(flow.outcome(), Outcome::kCompleted);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kClose));
}

TEST(RequestFlow, WorkerLostBeforeTheFirstTokenIsRetriedOnce) {
  RequestFlow flow = starting();
  flow.on_worker_event(accepted(10));
  EXPECT_THAT(v(flow.on_worker_lost()), ElementsAre(kEnqueue));
  EXPECT_EQ(flow.usage(), TokenUsage{});
  flow.on_dispatched();
  EXPECT_THAT(v(flow.on_worker_lost()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.reason, "worker_lost");
}

TEST(RequestFlow, WorkerLostMidStreamChargesWhatWasDeliveredAndSaysSo) {
  RequestFlow flow = streaming();
  EXPECT_THAT(v(flow.on_worker_lost()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_EQ(flow.usage().completion, 3);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
}

TEST(RequestFlow, WorkerLostWhileCollectingIsRetriedOnceBecauseNothingLeft) {
  RequestFlow flow = streaming(false);
  EXPECT_THAT(v(flow.on_worker_lost()), ElementsAre(kEnqueue));
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_EQ(flow.retries(), 1);
  flow.on_dispatched();
  flow.on_worker_event(accepted(10));
  EXPECT_THAT(v(flow.on_worker_event(text(10, 1))), ElementsAre(kDeliver)) << "fewer tokens than the lost worker had";
  EXPECT_THAT(v(flow.on_worker_event(ended(SequenceEnd::kStop, 10, 2))), ElementsAre(kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kCompleted);
  EXPECT_EQ(flow.usage().completion, 2) << "what the lost worker made is not charged";
}

TEST(RequestFlow, WorkerLostWhileCollectingASecondTimeChargesNothing) {
  RequestFlow flow = streaming(false);
  flow.on_worker_lost();
  flow.on_dispatched();
  flow.on_worker_event(text(10, 1));
  EXPECT_THAT(v(flow.on_worker_lost()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.reason, "worker_lost");
}

TEST(RequestFlow, ClientGoneBetweenTwoWorkersPaysNothing) {
  RequestFlow flow = streaming(false);
  flow.on_worker_lost();
  EXPECT_THAT(v(flow.on_client_gone()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.usage(), TokenUsage{});
}

TEST(RequestFlow, EngineRefusalReachesTheClientWithItsField) {
  RequestFlow flow = starting();
  EXPECT_THAT(v(flow.on_worker_event(failed(Code::kInvalidArgument, "context_length_exceeded"))), ElementsAre(kSettle));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.field, "messages");
}

TEST(RequestFlow, TextThatComesWithAFailureIsNotCharged) {
  RequestFlow flow = streaming();
  FlowEvent event = failed(Code::kInternal, "nan");
  event.has_text = true;
  event.usage = {.prompt = 10, .completion = 9};
  EXPECT_THAT(v(flow.on_worker_event(event)), ElementsAre(kSettle));
  EXPECT_EQ(flow.usage().completion, 3);
}

TEST(RequestFlow, WorkerThatCancelsByItselfIsAFailure) {
  RequestFlow flow = streaming();
  flow.on_worker_event(ended(SequenceEnd::kCancelled, 10, 4));
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_EQ(flow.usage().completion, 3);
  EXPECT_EQ(flow.refusal().error.reason, "worker_cancelled");
}

TEST(RequestFlow, DeadlineWhileQueued) {
  RequestFlow flow = queued();
  EXPECT_THAT(v(flow.on_deadline()), ElementsAre(kLeaveWorker, kSettle));
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.code, Code::kDeadlineExceeded);
}

TEST(RequestFlow, DeadlineWhileAdmittingReleasesTheHold) {
  RequestFlow flow(true);
  flow.on_checked(std::nullopt);
  EXPECT_THAT(v(flow.on_deadline()), IsEmpty());
  EXPECT_THAT(v(flow.on_admitted({})), ElementsAre(kSettle));
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.reason, "deadline_exceeded");
}

TEST(RequestFlow, DeadlineMidStreamChargesWhatWasDelivered) {
  RequestFlow flow = streaming();
  flow.on_deadline();
  EXPECT_EQ(flow.usage().completion, 3);
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
}

TEST(RequestFlow, ShutdownAsksToComeBack) {
  RequestFlow flow = queued();
  flow.on_shutdown();
  flow.on_settled({});
  EXPECT_EQ(flow.refusal().error.reason, "gateway_stopping");
}

TEST(RequestFlow, UnjournalledAnswerNeverLooksComplete) {
  RequestFlow flow = streaming();
  flow.on_worker_event(ended(SequenceEnd::kStop, 10, 5));
  EXPECT_THAT(v(flow.on_settled(fail(Code::kUnavailable, "journal_failed", "m"))), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.reason, "journal_failed");
}

TEST(RequestFlow, AStreamThatCouldNotBeRememberedCostsNothingAndSaysWhy) {
  RequestFlow flow = starting();
  flow.on_worker_event(accepted(10));
  EXPECT_THAT(v(flow.on_worker_event(text(10, 1))), ElementsAre(kReportProgress, kDeliver));
  EXPECT_THAT(v(flow.on_unfenced(Error(Code::kUnavailable, "idempotency_unavailable", "m"))),
              ElementsAre(kLeaveWorker, kSettle));
  EXPECT_EQ(flow.usage(), TokenUsage{});
  EXPECT_EQ(flow.outcome(), Outcome::kFailed);
  EXPECT_THAT(v(flow.on_settled({})), ElementsAre(kReplyError));
  EXPECT_EQ(flow.refusal().error.reason, "idempotency_unavailable");
  EXPECT_THAT(v(flow.on_unfenced(Error(Code::kUnavailable, "again", "m"))), IsEmpty());
}

TEST(RequestFlow, LateQueueAnswersAreIgnored) {
  RequestFlow flow = queued();
  flow.on_client_gone();
  EXPECT_THAT(v(flow.on_dispatched()), IsEmpty());
  EXPECT_THAT(v(flow.on_queue_refused(Error(Code::kResourceExhausted, "queue_timeout", "m"))), IsEmpty());
  EXPECT_THAT(v(flow.on_worker_lost()), IsEmpty());
}

}  // namespace
}  // namespace tidegate::gateway::request_flow_test
