// Every sequence of events up to a depth, from several starts: the invariants of request_flow.h hold on each path.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gateway/core/request_flow.h"

namespace tidegate::gateway {
namespace {

enum class Step {
  kAdmitOk, kAdmitFail, kQueueRefused, kDispatched, kAccepted, kText, kStop, kEngineError, kWorkerLost, kClientGone,
  kDeadline, kShutdown, kUnfenced, kSettleOk, kSettleFail,
};
constexpr Step kSteps[] = {Step::kAdmitOk, Step::kAdmitFail, Step::kQueueRefused, Step::kDispatched, Step::kAccepted,
                           Step::kText, Step::kStop, Step::kEngineError, Step::kWorkerLost, Step::kClientGone,
                           Step::kDeadline, Step::kShutdown, Step::kUnfenced, Step::kSettleOk, Step::kSettleFail};

struct World {
  explicit World(bool is_stream) : flow(is_stream) {}
  RequestFlow flow;
  bool admitting = false, admitted = false, settling = false, settled_well = false, closed = false;
  bool progress_reported = false, delivered = false;
  int settles = 0, lasts = 0;
  std::int64_t produced = 0;   ///< tokens the worker has sent
  TokenUsage handed;           ///< of the last event the flow let through

  /// The driver would only report what can happen: an admission while admitting, a settlement while settling.
  bool is_possible(Step step) const {
    switch (step) {
      case Step::kAdmitOk:
      case Step::kAdmitFail: return admitting;
      case Step::kSettleOk:
      case Step::kSettleFail: return settling;
      default: return true;
    }
  }

  void apply(Step step, bool is_stream) {
    FlowEvent event;
    event.usage = {.prompt = 10, .cached = 2, .completion = produced};
    FlowActions actions;
    switch (step) {
      case Step::kAdmitOk: admitting = false; admitted = true; actions = flow.on_admitted({}); break;
      case Step::kAdmitFail:
        admitting = false;
        actions = flow.on_admitted(fail(Code::kUnavailable, "x", "m"));
        break;
      case Step::kQueueRefused: actions = flow.on_queue_refused(Error(Code::kResourceExhausted, "q", "m")); break;
      case Step::kDispatched: actions = flow.on_dispatched(); break;
      case Step::kAccepted: event.accepted = true; actions = flow.on_worker_event(event); break;
      case Step::kText:
        event.has_text = true;
        event.usage.completion = ++produced;
        actions = flow.on_worker_event(event);
        break;
      case Step::kStop:
        event.end = SequenceEnd::kStop;
        event.usage.completion = ++produced;
        actions = flow.on_worker_event(event);
        if (flow.outcome() == Outcome::kCompleted && actions.size() > 0) handed = event.usage;
        break;
      case Step::kEngineError:
        event.end = SequenceEnd::kError;
        event.error = Error(Code::kInternal, "e", "m");
        actions = flow.on_worker_event(event);
        break;
      case Step::kWorkerLost: actions = flow.on_worker_lost(); break;
      case Step::kClientGone: actions = flow.on_client_gone(); break;
      case Step::kDeadline: actions = flow.on_deadline(); break;
      case Step::kShutdown: actions = flow.on_shutdown(); break;
      case Step::kUnfenced: actions = flow.on_unfenced(Error(Code::kUnavailable, "u", "m")); break;
      case Step::kSettleOk: settling = false; settled_well = true; actions = flow.on_settled({}); break;
      case Step::kSettleFail:
        settling = false;
        actions = flow.on_settled(fail(Code::kUnavailable, "journal_failed", "m"));
        break;
    }
    bool progress = false;
    for (const FlowAction action : actions) {
      ASSERT_EQ(lasts, 0) << "nothing follows the last action";
      switch (action) {
        case FlowAction::kAdmit: admitting = true; break;
        case FlowAction::kEnqueue:
          ASSERT_TRUE(admitted && settles == 0);
          ASSERT_FALSE(is_stream && delivered) << "what a client has seen does not begin again";
          // Another worker counts from nothing, and nothing that the lost one made is charged.
          produced = 0;
          handed = {};
          ASSERT_EQ(flow.usage(), TokenUsage{});
          break;
        case FlowAction::kReportProgress: progress = true; break;
        case FlowAction::kDeliver:
          ASSERT_TRUE(admitted && settles == 0);
          ASSERT_TRUE(progress || !is_stream) << "progress stands before the text it covers";
          handed = event.usage;
          delivered = true;
          break;
        case FlowAction::kSettle:
          ASSERT_TRUE(admitted);
          ASSERT_EQ(++settles, 1);
          settling = true;
          ASSERT_LE(flow.usage().completion, handed.completion) << "never more than was handed over";
          break;
        case FlowAction::kReplyFinal:
          ASSERT_TRUE(settled_well && flow.outcome() == Outcome::kCompleted && !flow.is_client_gone());
          ++lasts;
          break;
        case FlowAction::kReplyError: ASSERT_FALSE(flow.is_client_gone()); ++lasts; break;
        case FlowAction::kClose: ASSERT_TRUE(flow.is_client_gone()); ++lasts; break;
        case FlowAction::kLeaveWorker:
        case FlowAction::kReportAccepted: break;
      }
    }
    ASSERT_EQ(flow.is_done(), lasts == 1);
    if (flow.is_done()) { ASSERT_EQ(settles, admitted ? 1 : 0); }
  }
};

void walk(const World& world, bool is_stream, int depth, long& paths) {
  ++paths;
  if (depth == 0 || testing::Test::HasFatalFailure()) return;
  for (const Step step : kSteps) {
    if (!world.is_possible(step)) continue;
    World next = world;
    next.apply(step, is_stream);
    if (testing::Test::HasFatalFailure()) {
      ADD_FAILURE() << "after step " << static_cast<int>(step) << " at depth " << depth;
      return;
    }
    // Past the end one more event is enough to see that it stays silent.
    walk(next, is_stream, next.flow.is_done() ? std::min(depth - 1, 1) : depth - 1, paths);
  }
}

class RequestFlowWalk : public testing::TestWithParam<bool> {};

TEST_P(RequestFlowWalk, InvariantsHoldOnEveryPath) {
  // From several points of a request's life, so that depth five reaches every edge of it.
  const std::vector<Step> starts[] = {{},
                                      {Step::kAdmitOk, Step::kDispatched},
                                      {Step::kAdmitOk, Step::kDispatched, Step::kAccepted, Step::kText},
                                      {Step::kAdmitOk, Step::kDispatched, Step::kWorkerLost, Step::kDispatched},
                                      {Step::kAdmitOk, Step::kDispatched, Step::kAccepted, Step::kText, Step::kText,
                                       Step::kWorkerLost}};
  long paths = 0;
  for (const auto& start : starts) {
    World world(GetParam());
    world.flow.on_checked(std::nullopt);
    world.admitting = true;
    for (const Step step : start) world.apply(step, GetParam());
    walk(world, GetParam(), 5, paths);
  }
  EXPECT_GT(paths, 100'000);
}

INSTANTIATE_TEST_SUITE_P(StreamAndNot, RequestFlowWalk, testing::Bool(),
                         [](const auto& which) { return which.param ? "stream" : "collected"; });

}  // namespace
}  // namespace tidegate::gateway
