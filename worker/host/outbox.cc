#include "worker/host/outbox.h"

#include <limits>
#include <utility>

namespace tidegate::worker {

namespace {
// A little over sizeof(SessionEvent): an event without text still costs.
constexpr std::size_t kEventBytes = 320;
/// One probability and its token's few bytes.
constexpr std::size_t kLogprobBytes = 48;

std::size_t text_bytes(const SessionEvent& event) {
  std::size_t bytes = event.reasoning.size() + event.content.size() + event.error.message.size();
  for (const ToolCallDelta& call : event.tool_calls) bytes += call.id.size() + call.name.size() + call.arguments.size();
  bytes += event.embedding.size() * sizeof(float);
  for (const TokenLogprob& logprob : event.logprobs) {
    bytes += kLogprobBytes * (1 + logprob.top.size());
  }
  return bytes;
}
}  // namespace

void merge(SessionEvent& held, SessionEvent later) {
  held.accepted = held.accepted || later.accepted;
  held.reasoning += later.reasoning;
  held.content += later.content;
  append_calls(held.tool_calls, std::move(later.tool_calls));
  for (TokenLogprob& logprob : later.logprobs) held.logprobs.push_back(std::move(logprob));
  if (!later.embedding.empty()) held.embedding = std::move(later.embedding);
  held.usage = later.usage;
  if (later.choice_finish) held.choice_finish = later.choice_finish;
  if (!later.stop_text.empty()) held.stop_text = std::move(later.stop_text);
  if (!later.finish) return;
  held.finish = later.finish;
  held.error = std::move(later.error);
}

void Outbox::add(SessionEvent event) {
  bytes_ += text_bytes(event);
  const bool ends_several = event.finish && event.choice_finish;
  const std::pair<std::uint64_t, std::int32_t> key(event.sequence, event.choice);
  const auto [slot, is_new] = index_of_.try_emplace(key, events_.size());
  if (is_new || ends_several) {
    bytes_ += kEventBytes;
    events_.push_back(std::move(event));
    return;
  }
  SessionEvent& held = events_[slot->second];
  SessionEvent* const last = last_of(event.sequence);
  if (last == &held) {
    merge(held, std::move(event));
    return;
  }
  // Another answer has spoken since: the newest totals stand behind its text too, so they stay with the last event.
  const SequenceUsage before = held.usage;
  last->usage = event.usage;
  merge(held, std::move(event));
  held.usage = before;
}

SessionEvent* Outbox::last_of(std::uint64_t sequence) {
  SessionEvent* last = nullptr;
  constexpr auto kFirstChoice = std::numeric_limits<std::int32_t>::min();
  for (auto entry = index_of_.lower_bound({sequence, kFirstChoice});
       entry != index_of_.end() && entry->first.first == sequence; ++entry) {
    SessionEvent* const one = &events_[entry->second];
    if (last == nullptr || one > last) last = one;
  }
  return last;
}

std::vector<SessionEvent> Outbox::take() {
  index_of_.clear();
  bytes_ = 0;
  return std::exchange(events_, {});
}

void Outbox::put_back(std::vector<SessionEvent> events) {
  std::vector<SessionEvent> later = take();
  for (SessionEvent& event : events) add(std::move(event));
  for (SessionEvent& event : later) add(std::move(event));
}

}  // namespace tidegate::worker
