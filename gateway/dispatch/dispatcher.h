#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/ids.h"
#include "base/net/asio.h"
#include "gateway/core/api_error.h"
#include "gateway/core/fair_queue.h"
#include "gateway/core/plan.h"
#include "gateway/core/request_flow.h"
#include "gateway/core/route_table.h"
#include "gateway/core/token_logprob.h"
#include "gateway/core/usage.h"

namespace tidegate::gateway {

/// Who serves a sequence. Valid as long as the listener keeps its own copy.
struct WorkerFacts {
  std::string worker_id;
  std::string variant;
  std::string weights_digest;  ///< "sha256:..."
  std::string engine;
};

/// What a worker said of one sequence since the listener last looked.
struct SequenceDelta {
  bool accepted = false;     ///< usage.prompt is exact from here on
  std::string reasoning;     ///< whole UTF-8 code points; all of it stands before `content`
  std::string content;
  ToolCallDeltas tool_calls;
  TokenUsage usage;          ///< running totals
  std::optional<SequenceEnd> end;
  std::string stop_text;     ///< end == kStop because of a stop string: that string
  Error error;               ///< when end == kError
  TokenLogprobs logprobs = {};  ///< if they were asked for: of this text, or of text that is yet to come
  // Of several answers to one prompt. `usage` is of all of them, `end` comes with the last one's, or ends them all.
  std::int32_t choice = 0;                      ///< whose text this is
  std::optional<SequenceEnd> choice_end = {};   ///< how that one ended
  std::vector<float> embedding = {};            ///< of a request for vectors: that of its text number `choice`
  TokenUsage own = {};  ///< running totals of that answer alone, without the prompt; FlowInbox fills it in

  /// Something to hand over.
  bool has_text() const { return !reasoning.empty() || !content.empty() || !tool_calls.empty(); }
};

/// Hears of one submitted request, on the dispatcher's thread. It must not submit or leave from inside a call; it
/// notes and wakes its coroutine.
class SequenceListener {
 public:
  virtual ~SequenceListener() = default;
  /// The request left the queue for this worker.
  virtual void on_dispatched(const WorkerFacts& worker) = 0;
  /// Takes what it needs out of `delta`.
  virtual void on_delta(SequenceDelta&& delta) = 0;
  /// The session broke. Last call.
  virtual void on_worker_lost() = 0;
  /// It waited too long. Last call.
  virtual void on_queue_refused(Refusal refusal) = 0;
};

/// `plan` must live until on_dispatched, a refusal or leave().
struct SequenceRequest {
  RequestId request;
  TenantId tenant;
  ServingPool pool;
  const Plan* plan = nullptr;
  std::int32_t max_tokens = 0;  ///< resolved; > 0
  Deadline deadline = Deadline::never();
  std::string avoid_worker = {};  ///< lost this request before: any other that serves is better; empty = none
  ServiceTier tier = ServiceTier::kDefault;  ///< granted, not asked
  std::int64_t weight = 1;                   ///< the tenant's share
};

using DispatchTicket = std::uint64_t;

/// From one io thread to the workers: a fair queue per serving pool, and the sessions of this thread. A request leaves
/// its queue only when a worker has given this thread a credit (late binding). One thread calls everything.
class Dispatcher {
 public:
  virtual ~Dispatcher() = default;
  /// Why submit() would not serve this in time, with when to come back; nullopt = submit it. Asked before limits and
  /// money are touched, and cheap: a refusal costs nobody anything.
  virtual std::optional<Refusal> refuse(const SequenceRequest& request) = 0;
  /// Never calls the listener before it returns. Refuses: resource_exhausted/queue_full.
  virtual std::expected<DispatchTicket, Refusal> submit(const SequenceRequest& request, SequenceListener& listener) = 0;
  /// Leaves the queue, or cancels at the worker; the listener hears nothing more. Unknown tickets are ignored.
  virtual void leave(DispatchTicket ticket) = 0;
  /// Where a ticket waits; nullopt when it does not.
  virtual std::optional<QueuePlace> place(DispatchTicket ticket) = 0;
  virtual const RouteTable& routes() const = 0;
  /// Tokens of the plan's prompt, as a worker of the pool counts them: beside the queue, without a credit, for nothing. `plan`
  /// outlives the call. Refuses: unavailable/model_not_ready, unimplemented/count_unsupported, resource_exhausted/queue_full
  /// or counts_full (of two workers) when too many are being counted, deadline_exceeded, unavailable/worker_lost, and what the worker finds wrong.
  virtual awaitable<std::expected<std::int64_t, Refusal>> count(ServingPool /*pool*/, const Plan& /*plan*/,
                                                                Deadline /*deadline*/) {
    co_return std::unexpected(
        Refusal(Error(Code::kUnimplemented, "count_unsupported", "Prompts are not counted here.")));
  }
  /// Other pools in `regions` (empty: any) that may take a new request of `home` now, because home has no worker or too
  /// long a queue; the best first. Empty: home it is.
  virtual std::vector<ServingPool> spill_pools(const ServingPool& /*home*/,
                                               std::span<const std::string> /*regions*/) const {
    return {};
  }
};

}  // namespace tidegate::gateway
