#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/check.h"
#include "base/core/result.h"
#include "gateway/core/api_error.h"
#include "gateway/core/usage.h"

namespace tidegate::gateway {

/// The life of one request as a state machine without I/O. The driver (dispatch/request_driver.h) performs what it is
/// told and reports what happened; it decides nothing.
///
///   checking -> admitting -> queued -> starting -> streaming -> settling -> done
///                              ^---- worker lost, once ----'
///
/// Of a stream that is only while it is starting; of a collected answer also while streaming, because nothing has left.
///
/// Invariants (tests/unit/gateway/core/request_flow_test.cc):
///  - exactly one kSettle for every admitted request, none for one that was not admitted;
///  - exactly one last action: kReplyFinal, kReplyError or kClose; nothing follows it;
///  - kReplyFinal only after a settlement that is on disk;
///  - usage settled is that of the last event handed to the client, never more.
enum class FlowPhase : std::uint8_t { kChecking, kAdmitting, kQueued, kStarting, kStreaming, kSettling, kDone };

enum class FlowAction : std::uint8_t {
  kAdmit,           ///< take the hold, then on_admitted
  /// Wait for a worker, then on_dispatched or on_queue_refused. With retries() > 0 whatever was collected is void.
  kEnqueue,
  kLeaveWorker,     ///< leave the queue or cancel at the worker; it has nothing more to say
  kReportAccepted,  ///< Charge::on_accepted(usage())
  kReportProgress,  ///< Charge::on_progress(usage()): stands before the kDeliver it covers
  kDeliver,         ///< hand the event's text to the client
  kSettle,          ///< Charge::settle(outcome(), finish_reason(), usage()), then on_settled
  kReplyFinal,      ///< the event's text if any, finish_reason, usage, cost. Last.
  kReplyError,      ///< refusal(): an HTTP status before the first byte, an error frame after it. Last.
  kClose,           ///< nobody listens. Last.
};

/// At most four actions, performed in order.
class FlowActions {
 public:
  FlowActions() = default;
  FlowActions(std::initializer_list<FlowAction> actions) {
    for (const FlowAction action : actions) add(action);
  }
  void add(FlowAction action) {
    TG_CHECK(size_ < actions_.size());
    actions_[size_++] = action;
  }
  const FlowAction* begin() const { return actions_.data(); }
  const FlowAction* end() const { return actions_.data() + size_; }
  std::size_t size() const { return size_; }

 private:
  std::array<FlowAction, 4> actions_{};
  std::size_t size_ = 0;
};

/// How the engine ended a sequence; kFiltered: the guard did, and the worker was told to stop.
enum class SequenceEnd : std::uint8_t { kStop, kLength, kToolCalls, kCancelled, kError, kFiltered };

/// stop | length | tool_calls | content_filter | cancelled | error
std::string_view end_name(SequenceEnd end);
/// The answer is whole, as far as its worker or the guard let it go on.
bool is_good_end(SequenceEnd end);

/// What the flow needs to know of a worker's event; the text stays with the driver.
struct FlowEvent {
  bool accepted = false;  ///< usage.prompt is exact from here on
  bool has_text = false;  ///< or a piece of a call, or the end of one of several answers
  TokenUsage usage;
  std::optional<SequenceEnd> end;
  Error error;            ///< when end == kError
};

/// One object a request, one thread.
class RequestFlow {
 public:
  /// A stream delivers as it goes; otherwise the answer is collected and leaves at the end.
  explicit RequestFlow(bool is_stream) : is_stream_(is_stream) {}

  /// Key, model scope and size have been looked at.
  FlowActions on_checked(const std::optional<Refusal>& refused);
  FlowActions on_admitted(const Status& status);
  /// A limit on rates said no, before there was a hold.
  FlowActions on_rate_refused(Refusal refusal);
  FlowActions on_queue_refused(Refusal refusal);
  FlowActions on_dispatched();
  FlowActions on_worker_event(const FlowEvent& event);
  FlowActions on_worker_lost();
  FlowActions on_client_gone();
  FlowActions on_deadline();
  /// The gateway is stopping and the time for open answers is up.
  FlowActions on_shutdown();
  FlowActions on_settled(const Status& status);
  /// Before the first progress of a stream is reported: what must be remembered before anything may be charged was not.
  /// Nothing was handed over, so nothing is charged.
  FlowActions on_unfenced(Refusal refusal);

  FlowPhase phase() const { return phase_; }
  bool is_done() const { return phase_ == FlowPhase::kDone; }
  /// As the answer and the bill will say: of the last event handed over.
  const TokenUsage& usage() const { return usage_; }
  Outcome outcome() const { return outcome_; }
  /// stop | length | tool_calls | content_filter | cancelled | error
  std::string_view finish_reason() const { return finish_reason_; }
  const Refusal& refusal() const { return refusal_; }
  bool is_client_gone() const { return client_gone_; }
  int retries() const { return retries_; }

 private:
  enum class Reply : std::uint8_t { kFinal, kError, kNone };
  /// Stops whatever runs and settles as failed by us; tokens already delivered are charged.
  FlowActions give_up(Refusal refusal);
  FlowActions settle(Outcome outcome, std::string_view finish_reason, Reply reply, bool leave_worker);
  FlowActions refuse(Refusal refusal);

  static constexpr int kRetriesMax = 1;

  bool is_stream_;
  FlowPhase phase_ = FlowPhase::kChecking;
  bool client_gone_ = false;
  std::optional<Refusal> given_up_;  ///< while admitting: what to say once the hold is there
  int retries_ = 0;
  TokenUsage usage_;
  Outcome outcome_ = Outcome::kFailed;
  std::string_view finish_reason_ = "error";
  Reply reply_ = Reply::kNone;
  Refusal refusal_;
};

}  // namespace tidegate::gateway
