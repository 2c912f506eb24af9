#include "gateway/core/request_flow.h"

#include <initializer_list>
#include <utility>

namespace tidegate::gateway {
namespace {

Error worker_lost() {
  return {Code::kUnavailable, "worker_lost", "The worker that wrote this answer was lost; send the request again."};
}

}  // namespace

bool is_good_end(SequenceEnd end) { return end != SequenceEnd::kCancelled && end != SequenceEnd::kError; }

std::string_view end_name(SequenceEnd end) {
  switch (end) {
    case SequenceEnd::kStop: return "stop";
    case SequenceEnd::kLength: return "length";
    case SequenceEnd::kToolCalls: return "tool_calls";
    case SequenceEnd::kCancelled: return "cancelled";
    case SequenceEnd::kError: return "error";
    case SequenceEnd::kFiltered: return "content_filter";
  }
  return "error";
}

FlowActions RequestFlow::on_checked(const std::optional<Refusal>& refused) {
  TG_CHECK(phase_ == FlowPhase::kChecking);
  if (refused) return refuse(*refused);
  phase_ = FlowPhase::kAdmitting;
  return {FlowAction::kAdmit};
}

FlowActions RequestFlow::on_admitted(const Status& status) {
  TG_CHECK(phase_ == FlowPhase::kAdmitting);
  if (!status) return refuse(status.error());
  if (client_gone_) return settle(Outcome::kCancelled, "cancelled", Reply::kNone, false);
  if (given_up_) {
    refusal_ = *std::exchange(given_up_, std::nullopt);
    return settle(Outcome::kFailed, "error", Reply::kError, false);
  }
  phase_ = FlowPhase::kQueued;
  return {FlowAction::kEnqueue};
}

FlowActions RequestFlow::on_rate_refused(Refusal refusal) {
  TG_CHECK(phase_ == FlowPhase::kAdmitting);
  return refuse(std::move(refusal));
}

FlowActions RequestFlow::on_queue_refused(Refusal refusal) {
  if (phase_ != FlowPhase::kQueued) return {};
  refusal_ = std::move(refusal);
  return settle(Outcome::kFailed, "error", Reply::kError, false);
}

FlowActions RequestFlow::on_dispatched() {
  if (phase_ == FlowPhase::kQueued) phase_ = FlowPhase::kStarting;
  return {};
}

FlowActions RequestFlow::on_worker_event(const FlowEvent& event) {
  if (phase_ != FlowPhase::kStarting && phase_ != FlowPhase::kStreaming) return {};

  const bool ends_well = event.end && is_good_end(*event.end);
  if (event.end && !ends_well) {
    // Text that came with the failure is not handed over, so it is not charged.
    if (event.end == SequenceEnd::kError) {
      refusal_ = event.error;
    } else {
      refusal_ = Error(Code::kUnavailable, "worker_cancelled", "The worker gave the request up; send it again.");
    }
    if (!is_stream_ || phase_ == FlowPhase::kStarting) usage_ = {};
    return settle(Outcome::kFailed, "error", Reply::kError, false);
  }
  // Counts never fall, and no prompt is empty: a worker that lost them would make what was delivered free.
  const bool is_counted = event.usage.is_sound() && event.usage.prompt >= usage_.prompt &&
                          event.usage.completion >= usage_.completion;
  if ((event.has_text && !is_counted) || (event.accepted && !event.usage.is_sound()) ||
      (ends_well && (!is_counted || event.usage.prompt == 0))) {
    return give_up(Error(Code::kInternal, "usage_lost", "The worker lost count of the answer; send the request again."));
  }
  FlowActions actions;
  if (event.accepted) {
    usage_.prompt = event.usage.prompt;
    usage_.cached = event.usage.cached;
    actions.add(FlowAction::kReportAccepted);
  }
  if (event.end) {
    usage_ = event.usage;
    // A filtered answer is charged for less than its worker has made of it, as one whose client left.
    const Outcome outcome = event.end == SequenceEnd::kFiltered ? Outcome::kCancelled : Outcome::kCompleted;
    const FlowActions last = settle(outcome, end_name(*event.end), Reply::kFinal, false);
    for (const FlowAction action : last) actions.add(action);
    return actions;
  }
  if (event.has_text) {
    phase_ = FlowPhase::kStreaming;
    usage_ = event.usage;
    if (is_stream_) actions.add(FlowAction::kReportProgress);
    actions.add(FlowAction::kDeliver);
  }
  return actions;
}

FlowActions RequestFlow::on_worker_lost() {
  // What was collected has not left: it can be forgotten, as if the first worker had never begun.
  const bool is_unseen = phase_ == FlowPhase::kStarting || (phase_ == FlowPhase::kStreaming && !is_stream_);
  if (is_unseen && retries_ < kRetriesMax) {
    ++retries_;
    usage_ = {};
    phase_ = FlowPhase::kQueued;
    return {FlowAction::kEnqueue};
  }
  if (phase_ != FlowPhase::kStarting && phase_ != FlowPhase::kStreaming) return {};
  return give_up(worker_lost());
}

FlowActions RequestFlow::on_client_gone() {
  client_gone_ = true;
  switch (phase_) {
    case FlowPhase::kChecking:
      phase_ = FlowPhase::kDone;
      return {FlowAction::kClose};
    case FlowPhase::kQueued:
    case FlowPhase::kStarting:
    case FlowPhase::kStreaming: return settle(Outcome::kCancelled, "cancelled", Reply::kNone, true);
    case FlowPhase::kSettling: reply_ = Reply::kNone; return {};
    case FlowPhase::kAdmitting:
    case FlowPhase::kDone: return {};
  }
  return {};
}

FlowActions RequestFlow::on_deadline() {
  return give_up(Error(Code::kDeadlineExceeded, "deadline_exceeded",
                       "The request took longer than this server, or the request itself, allows; ask for fewer tokens."));
}

FlowActions RequestFlow::on_shutdown() {
  return give_up(Error(Code::kUnavailable, "gateway_stopping", "This gateway is stopping; send the request again."));
}

FlowActions RequestFlow::on_settled(const Status& status) {
  TG_CHECK(phase_ == FlowPhase::kSettling);
  phase_ = FlowPhase::kDone;
  if (client_gone_ || reply_ == Reply::kNone) return {FlowAction::kClose};
  if (reply_ == Reply::kFinal && !status) {
    // Not on disk: the end of the answer must not leave, or it could go unbilled.
    outcome_ = Outcome::kFailed;
    finish_reason_ = "error";
    refusal_ = status.error();
    return {FlowAction::kReplyError};
  }
  return {reply_ == Reply::kFinal ? FlowAction::kReplyFinal : FlowAction::kReplyError};
}

FlowActions RequestFlow::on_unfenced(Refusal refusal) {
  if (phase_ != FlowPhase::kStreaming) return {};
  usage_ = {};
  refusal_ = std::move(refusal);
  return settle(Outcome::kFailed, "error", Reply::kError, true);
}

FlowActions RequestFlow::give_up(Refusal refusal) {
  switch (phase_) {
    case FlowPhase::kAdmitting: given_up_ = std::move(refusal); return {};
    case FlowPhase::kQueued:
    case FlowPhase::kStarting:
    case FlowPhase::kStreaming: {
      // A collected answer that never left was not delivered; neither was a stream before its first token.
      if (!is_stream_ || phase_ != FlowPhase::kStreaming) usage_ = {};
      refusal_ = std::move(refusal);
      return settle(Outcome::kFailed, "error", Reply::kError, true);
    }
    case FlowPhase::kChecking: return refuse(std::move(refusal));
    case FlowPhase::kSettling:
    case FlowPhase::kDone: return {};
  }
  return {};
}

FlowActions RequestFlow::settle(Outcome outcome, std::string_view finish_reason, Reply reply, bool leave_worker) {
  outcome_ = outcome;
  finish_reason_ = finish_reason;
  reply_ = client_gone_ ? Reply::kNone : reply;
  phase_ = FlowPhase::kSettling;
  FlowActions actions;
  if (leave_worker) actions.add(FlowAction::kLeaveWorker);
  actions.add(FlowAction::kSettle);
  return actions;
}

FlowActions RequestFlow::refuse(Refusal refusal) {
  phase_ = FlowPhase::kDone;
  if (client_gone_) return {FlowAction::kClose};
  refusal_ = std::move(refusal);
  return {FlowAction::kReplyError};
}

}  // namespace tidegate::gateway
