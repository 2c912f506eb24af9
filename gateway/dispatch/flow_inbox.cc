#include "gateway/dispatch/flow_inbox.h"

#include <utility>

namespace tidegate::gateway {

void FlowInbox::on_dispatched(const WorkerFacts& worker) {
  worker_ = worker;
  signal_.notify();
}

void FlowInbox::on_delta(SequenceDelta delta) {
  if (taker_ != nullptr && is_empty() && taker_->take_now(delta)) return;
  if (!delta_) {
    delta_ = std::move(delta);
  } else {
    delta_->accepted |= delta.accepted;
    delta_->reasoning += delta.reasoning;
    delta_->content += delta.content;
    append_calls(delta_->tool_calls, std::move(delta.tool_calls));
    delta_->usage = delta.usage;
    delta_->end = delta.end;
    delta_->stop_text = std::move(delta.stop_text);
    delta_->error = std::move(delta.error);
  }
  signal_.notify();
}

void FlowInbox::on_worker_lost() {
  lost_ = true;
  signal_.notify();
}

void FlowInbox::on_queue_refused(Refusal refusal) {
  refused_ = std::move(refusal);
  signal_.notify();
}

void FlowInbox::on_client_gone() {
  if (gone_ == Flag::kNo) gone_ = Flag::kPending;
  signal_.notify();
}

void FlowInbox::on_shutdown() {
  if (shutdown_ == Flag::kNo) shutdown_ = Flag::kPending;
  signal_.notify();
}

void FlowInbox::nudge() {
  is_nudged_ = true;
  signal_.notify();
}

bool FlowInbox::is_empty() const {
  return !delta_ && !worker_ && !refused_ && !lost_ && !is_nudged_ && gone_ != Flag::kPending && shutdown_ != Flag::kPending;
}

std::optional<FlowInbox::Message> FlowInbox::take() {
  if (take_flag(gone_)) return ClientGone{};
  if (take_flag(shutdown_)) return Shutdown{};
  if (refused_) return *std::exchange(refused_, std::nullopt);
  if (worker_) return *std::exchange(worker_, std::nullopt);
  if (std::exchange(is_nudged_, false)) return Nudge{};
  if (delta_) return *std::exchange(delta_, std::nullopt);
  if (std::exchange(lost_, false)) return WorkerLost{};
  return std::nullopt;
}

awaitable<std::optional<FlowInbox::Message>> FlowInbox::next(Deadline deadline) {
  while (true) {
    if (auto message = take()) co_return message;
    if (!co_await signal_.wait_until(deadline)) co_return take();
  }
}

awaitable<void> FlowInbox::wait_until_client_gone() {
  // A notification that this uses up is of a message that take() still finds.
  while (!is_client_gone()) co_await signal_.wait();
}

void FlowInbox::reset_worker() {
  lost_ = false;
  worker_.reset();
  delta_.reset();
}

bool FlowInbox::take_flag(Flag& flag) {
  if (flag != Flag::kPending) return false;
  flag = Flag::kTaken;
  return true;
}

}  // namespace tidegate::gateway
