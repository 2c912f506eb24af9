#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/log.h"
#include "gateway/core/plan.h"
#include "gateway/core/request_flow.h"
#include "gateway/dispatch/answer_check.h"
#include "gateway/dispatch/answer_sink.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/dispatch/flow_inbox.h"
#include "gateway/guard/answer_guard.h"
#include "gateway/metrics.h"
#include "gateway/ports.h"
#include "gateway/rate_gate.h"

namespace tidegate::gateway {

struct ServingLimits {
  Duration request_max = std::chrono::seconds(600);  ///< whole life of a request
  Duration keep_alive = std::chrono::seconds(9);     ///< silence on a stream before a comment; promised: <= 10 s
  std::int32_t completion_default = 8'192;           ///< when the client names no max_tokens
  Duration blank_lines_after = std::chrono::seconds(15);  ///< silence before an answer that does not stream
};

/// Requests of one io thread that are not answered yet, so that a stop can end them with an error their clients see.
class OpenRequests {
 public:
  void add(FlowInbox& inbox) { inboxes_.insert(&inbox); }
  void remove(FlowInbox& inbox) { inboxes_.erase(&inbox); }
  void shut_all() {
    for (FlowInbox* inbox : inboxes_) inbox->on_shutdown();
  }
  std::size_t size() const { return inboxes_.size(); }

 private:
  std::set<FlowInbox*> inboxes_;
};

/// What one io thread needs to serve requests of any dialect. References outlive every request.
struct Serving {
  Meter& meter;
  Dispatcher& dispatcher;
  OpenRequests& open_requests;
  const Clock& clock;
  Log& log;
  GatewayMetrics& metrics;
  ServingLimits limits;
  RateGate* rates = nullptr;  ///< null: requests have no rate limits
  GuardDesk* guard = nullptr;  ///< null: no policy looks at texts
};

/// One request that has passed its dialect's parser.
struct RequestContext {
  RequestId request;
  std::string trace_id;      ///< of the caller's trace or of one of its own; for the log
  std::string_view surface;  ///< "http.chat" | "http.messages" | "grpc.chat" | ...: a literal
  std::shared_ptr<const Principal> principal;  ///< shared with the key cache, which moves on
  Plan plan;
  Mono received;
  ChargeFence* fence = nullptr;  ///< asked before anything is handed over or charged; null = nothing to ask
  std::optional<Duration> budget = {};  ///< the client's own, for the whole answer
};

/// Performs what RequestFlow decides: the only place where a request's I/O and its decisions meet. Lives inside the
/// handler's coroutine on one io thread; whoever sees the client leave calls inbox().on_client_gone().
class RequestDriver final : private DeltaTaker {
 public:
  RequestDriver(Serving& serving, RequestContext context, AnswerSink& sink, Executor executor);
  ~RequestDriver() override;
  RequestDriver(const RequestDriver&) = delete;
  RequestDriver& operator=(const RequestDriver&) = delete;

  FlowInbox& inbox() { return inbox_; }
  /// To the last byte and the last log line.
  awaitable<void> run();

 private:
  std::optional<Refusal> check();
  ServingPool spilled(ServingPool home);
  SequenceRequest sequence_request() const;
  awaitable<void> perform(FlowActions actions);
  awaitable<FlowActions> admit();
  FlowActions refuse_admission(Refusal refusal);
  /// Where there is a guard.
  awaitable<std::optional<Refusal>> pass_guard();
  /// True: the guard has cut it. nullopt: nobody wants the verdict any more, and there is none.
  awaitable<std::optional<bool>> pass_answer(SequenceDelta& delta);
  /// The event ends an answer that is not what was promised: it is an error now.
  bool breaks_promise(SequenceDelta& delta);
  std::int64_t prompt_bound() const;
  /// Where there are limits.
  awaitable<std::optional<Refusal>> pass_limits(std::int64_t prompt_tokens_max);
  awaitable<FlowActions> report_progress();
  awaitable<FlowActions> deliver();
  awaitable<FlowActions> settle();
  /// Of a request with a fence.
  awaitable<Status> pass_fence();
  awaitable<void> reply_final();
  awaitable<void> reply_error();
  FlowActions enqueue();
  void leave_worker();
  /// The delta in hand, as one of the request's answers has said it. False: no worker that works says this.
  bool take_delta();
  /// Log probabilities of `delta` leave with text of their answer; until then they are kept.
  void hold_logprobs(SequenceDelta& delta, bool is_handed_over);
  /// What of `delta` is handed over, moved out.
  AnswerPart take_part(SequenceDelta& delta);
  void fill_end(AnswerEnd& end);
  FlowActions on_message(FlowInbox::Message message, bool is_cut);
  FlowActions on_event(SequenceDelta& delta);
  /// Most events of a stream end here, in the turn of the loop that brought them, with one write and no coroutine woken.
  bool take_now(SequenceDelta& delta) override;
  /// What of `actions`, which are of `delta`, needs no waiting; the rest is left to the coroutine.
  void perform_now(const FlowActions& actions, SequenceDelta& delta, Mono now);
  awaitable<FlowActions> take_over();
  void report_accepted();
  void note_tokens(Mono now);
  awaitable<FlowActions> on_silence();
  void count_cancel();
  void write_summary();

  /// One of the request's answers.
  struct Choice {
    TokenLogprobs held;             ///< of tokens whose text is yet to come
    std::string_view finish_reason; ///< "" while it goes on; a literal
    bool is_told = false;           ///< its end was handed over
  };

  Serving& serving_;
  RequestContext context_;
  AnswerSink& sink_;
  FlowInbox inbox_;
  RequestFlow flow_;
  Deadline deadline_;

  ServingPool pool_;
  std::int32_t max_tokens_ = 0;    ///< of each answer
  std::int64_t tokens_most_ = 0;   ///< of all of them
  std::vector<Choice> choices_;
  PoolMetrics* pool_metrics_ = nullptr;  ///< set once the model is known
  std::unique_ptr<RatePermit> permit_;   ///< null when no limit binds the request
  std::unique_ptr<Charge> charge_;
  std::unique_ptr<AnswerGuard> answer_guard_;  ///< null without a guard
  std::unique_ptr<AnswerCheck> answer_check_;  ///< null where nothing was promised
  std::optional<DispatchTicket> ticket_;
  WorkerFacts worker_;
  /// The event in hand, if the coroutine has it: its text is delivered, or leaves with the end of the answer.
  SequenceDelta delta_;
  Settlement settlement_;

  Mono last_write_;
  FlowActions left_over_;     ///< by perform_now()
  bool is_held_up_ = false;   ///< a delivery of perform_now() waits for the client
  bool has_taken_ = false;    ///< take_now() had something while run() waited: no silence
  std::optional<Mono> queued_at_;
  Duration queue_wait_{};
  std::optional<Mono> first_token_;
  Mono last_token_{};
  bool is_finished_ = false;  ///< the answer's end was handed to the client
  bool is_fence_passed_ = false;
};

}  // namespace tidegate::gateway
