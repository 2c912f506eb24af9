#include "worker/engine/choices.h"

#include <algorithm>
#include <utility>

namespace tidegate::worker {

void Choices::add(SequenceHandle request, std::vector<std::unique_ptr<Sequence>> others) {
  Group group;
  group.handles.push_back(request);
  for (const auto& sequence : others) {
    group.handles.push_back(sequence->handle());
    request_of_[sequence->handle()] = request;
  }
  group.usage.resize(group.handles.size());
  group.open = static_cast<std::int32_t>(group.handles.size());
  waiting_ += static_cast<std::int32_t>(others.size());
  group.waiting = std::move(others);
  groups_.emplace(request, std::move(group));
}

std::map<SequenceHandle, Choices::Group>::iterator Choices::find(SequenceHandle handle) {
  if (!is_own(handle)) return groups_.find(handle);
  const auto request = request_of_.find(handle);
  return request == request_of_.end() ? groups_.end() : groups_.find(request->second);
}

SequenceUsage Choices::total(const Group& group) {
  SequenceUsage sum = group.usage.front();
  for (std::size_t choice = 1; choice < group.usage.size(); ++choice) {
    const SequenceUsage& one = group.usage[choice];
    sum.completion_tokens += one.completion_tokens;
    sum.reasoning_tokens += one.reasoning_tokens;
    sum.drafted_tokens += one.drafted_tokens;
    sum.accepted_tokens += one.accepted_tokens;
    sum.device_us += one.device_us;
  }
  return sum;
}

SequenceUsage Choices::close(SequenceHandle request, std::vector<SequenceHandle>& scheduled) {
  const auto found = groups_.find(request);
  if (found == groups_.end()) return {};
  Group& group = found->second;
  const SequenceUsage used = total(group);
  waiting_ -= static_cast<std::int32_t>(group.waiting.size());
  for (const SequenceHandle handle : group.handles) {
    request_of_.erase(handle);
    scheduled.push_back(handle);
  }
  groups_.erase(found);
  return used;
}

std::vector<SequenceEvent> Choices::translate(std::vector<SequenceEvent> events, std::vector<SequenceHandle>& scheduled) {
  if (groups_.empty()) return events;
  std::vector<SequenceEvent> out;
  std::vector<SequenceHandle> closed;
  for (SequenceEvent& event : events) {
    const auto found = find(event.handle);
    if (found == groups_.end()) {
      // Of ours, or of a request that was closed a moment ago: it has had its last event.
      const bool is_late = is_own(event.handle) || std::ranges::find(closed, event.handle) != closed.end();
      if (!is_late) out.push_back(std::move(event));
      continue;
    }
    Group& group = found->second;
    const SequenceHandle request = found->first;
    const auto choice = static_cast<std::size_t>(std::ranges::find(group.handles, event.handle) - group.handles.begin());
    group.usage[choice] = event.usage;
    if (choice == 0 && (event.usage.completion_tokens > 0 || event.finish)) group.is_ready = true;
    if (event.accepted && choice > 0) continue;
    event.handle = request;
    event.choice = static_cast<std::int32_t>(choice);
    event.usage = total(group);
    if (!event.finish) {
      out.push_back(std::move(event));
      continue;
    }
    const bool is_fault = event.finish == FinishReason::kError || event.finish == FinishReason::kCancelled;
    --group.open;
    if (is_fault) {
      event.choice = SequenceEvent::kWholeRequest;
    } else {
      event.choice_finish = event.finish;
    }
    if (is_fault || group.open == 0) {
      (void)close(request, scheduled);
      closed.push_back(request);
    } else {
      event.finish.reset();
    }
    out.push_back(std::move(event));
  }
  return out;
}

std::vector<std::unique_ptr<Sequence>> Choices::take_ready() {
  std::vector<std::unique_ptr<Sequence>> ready;
  for (auto& [request, group] : groups_) {
    if (!group.is_ready) continue;
    for (auto& sequence : group.waiting) ready.push_back(std::move(sequence));
    group.waiting.clear();
  }
  waiting_ -= static_cast<std::int32_t>(ready.size());
  return ready;
}

}  // namespace tidegate::worker
