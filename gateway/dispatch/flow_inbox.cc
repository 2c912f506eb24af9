#include "gateway/dispatch/flow_inbox.h"

#include <algorithm>
#include <utility>

namespace tidegate::gateway {

void FlowInbox::on_dispatched(const WorkerFacts& worker) {
  worker_ = worker;
  signal_.notify();
}

void FlowInbox::count_own(SequenceDelta& delta) {
  TokenUsage& own = own_[delta.choice];
  own.completion += delta.usage.completion - told_.completion;
  own.reasoning += delta.usage.reasoning - told_.reasoning;
  told_ = delta.usage;
  delta.own = own;
}

void FlowInbox::on_delta(SequenceDelta&& delta) {
  count_own(delta);
  if (taker_ != nullptr && is_empty() && taker_->take_now(delta)) return;
  signal_.notify();
  const auto held = std::ranges::find(deltas_, delta.choice, &SequenceDelta::choice);
  // An end of several answers comes behind what any of them said.
  const bool ends_all = delta.end && deltas_.size() > 1;
  if (held == deltas_.end() || ends_all) {
    deltas_.push_back(std::move(delta));
    return;
  }
  held->accepted |= delta.accepted;
  held->reasoning += delta.reasoning;
  held->content += delta.content;
  append_calls(held->tool_calls, std::move(delta.tool_calls));
  append_logprobs(held->logprobs, std::move(delta.logprobs));
  // Others have spoken since: the newest totals count their text too, and stay behind it.
  deltas_.back().usage = delta.usage;
  held->own = delta.own;
  if (delta.choice_end) held->choice_end = delta.choice_end;
  if (!delta.embedding.empty()) held->embedding = std::move(delta.embedding);
  held->end = delta.end;
  if (!delta.stop_text.empty()) held->stop_text = std::move(delta.stop_text);
  held->error = std::move(delta.error);
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
  return deltas_.empty() && !worker_ && !refused_ && !lost_ && !is_nudged_ && gone_ != Flag::kPending &&
         shutdown_ != Flag::kPending;
}

std::optional<FlowInbox::Message> FlowInbox::take() {
  if (take_flag(gone_)) return ClientGone{};
  if (take_flag(shutdown_)) return Shutdown{};
  if (refused_) return *std::exchange(refused_, std::nullopt);
  if (worker_) return *std::exchange(worker_, std::nullopt);
  if (std::exchange(is_nudged_, false)) return Nudge{};
  if (!deltas_.empty()) {
    SequenceDelta next = std::move(deltas_.front());
    deltas_.pop_front();
    return next;
  }
  if (std::exchange(lost_, false)) return WorkerLost{};
  return std::nullopt;
}

awaitable<std::optional<FlowInbox::Message>> FlowInbox::next(Deadline deadline) {
  while (true) {
    if (auto message = take()) co_return message;
    if (!co_await signal_.wait_until(deadline)) co_return take();
  }
}

awaitable<void> FlowInbox::wait_until_unwanted() {
  // A notification that this uses up is of a message that take() still finds.
  while (gone_ == Flag::kNo && shutdown_ == Flag::kNo) co_await signal_.wait();
}

void FlowInbox::reset_worker() {
  lost_ = false;
  worker_.reset();
  deltas_.clear();
  told_ = {};
  own_.clear();
}

bool FlowInbox::take_flag(Flag& flag) {
  if (flag != Flag::kPending) return false;
  flag = Flag::kTaken;
  return true;
}

}  // namespace tidegate::gateway
