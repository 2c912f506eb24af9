#include "worker/host/outbox.h"

#include <utility>

namespace tidegate::worker {

namespace {
// A little over sizeof(SessionEvent): an event without text still costs.
constexpr std::size_t kEventBytes = 256;

std::size_t text_bytes(const SessionEvent& event) {
  std::size_t bytes = event.reasoning.size() + event.content.size() + event.error.message.size();
  for (const ToolCallDelta& call : event.tool_calls) bytes += call.id.size() + call.name.size() + call.arguments.size();
  return bytes;
}
}  // namespace

void merge(SessionEvent& held, SessionEvent later) {
  held.accepted = held.accepted || later.accepted;
  held.reasoning += later.reasoning;
  held.content += later.content;
  append_calls(held.tool_calls, std::move(later.tool_calls));
  held.usage = later.usage;
  if (!later.finish) return;
  held.finish = later.finish;
  held.stop_text = std::move(later.stop_text);
  held.error = std::move(later.error);
}

void Outbox::add(SessionEvent event) {
  bytes_ += text_bytes(event);
  const auto [slot, is_new] = index_of_sequence_.try_emplace(event.sequence, events_.size());
  if (is_new) {
    bytes_ += kEventBytes;
    events_.push_back(std::move(event));
    return;
  }
  merge(events_[slot->second], std::move(event));
}

std::vector<SessionEvent> Outbox::take() {
  index_of_sequence_.clear();
  bytes_ = 0;
  return std::exchange(events_, {});
}

void Outbox::put_back(std::vector<SessionEvent> events) {
  std::vector<SessionEvent> later = take();
  for (SessionEvent& event : events) add(std::move(event));
  for (SessionEvent& event : later) add(std::move(event));
}

}  // namespace tidegate::worker
