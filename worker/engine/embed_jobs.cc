#include "worker/engine/embed_jobs.h"

#include <algorithm>
#include <utility>

namespace tidegate::worker {

void EmbedJobs::add(SequenceHandle request, std::vector<std::unique_ptr<Sequence>> inputs) {
  Job job;
  for (auto& sequence : inputs) {
    job.handles.push_back(sequence->handle());
    job.prompt_tokens += sequence->length();
    request_of_[sequence->handle()] = request;
    job.waiting.push_back(std::move(sequence));
  }
  job.device_us.resize(job.handles.size());
  job.open = static_cast<std::int32_t>(job.handles.size());
  jobs_.emplace(request, std::move(job));
}

SequenceUsage EmbedJobs::usage_of(const Job& job) {
  SequenceUsage usage;
  if (!job.is_accepted) return usage;
  usage.prompt_tokens = job.prompt_tokens;
  for (const std::int64_t micros : job.device_us) usage.device_us += micros;
  return usage;
}

SequenceUsage EmbedJobs::close(SequenceHandle request, std::vector<SequenceHandle>& scheduled) {
  const auto found = jobs_.find(request);
  if (found == jobs_.end()) return {};
  const SequenceUsage used = usage_of(found->second);
  for (const SequenceHandle handle : found->second.handles) {
    request_of_.erase(handle);
    scheduled.push_back(handle);
  }
  jobs_.erase(found);
  return used;
}

std::vector<SequenceEvent> EmbedJobs::translate(std::vector<SequenceEvent> events,
                                                std::vector<SequenceHandle>& scheduled) {
  if (jobs_.empty()) return events;
  std::vector<SequenceEvent> out;
  std::vector<SequenceHandle> closed;  // handles of requests that ended in this step
  for (SequenceEvent& event : events) {
    const auto owner = request_of_.find(event.handle);
    if (owner == request_of_.end()) {
      if (std::ranges::find(closed, event.handle) == closed.end()) out.push_back(std::move(event));
      continue;
    }
    const SequenceHandle request = owner->second;
    Job& job = jobs_.at(request);
    const auto input = static_cast<std::size_t>(std::ranges::find(job.handles, event.handle) - job.handles.begin());
    job.device_us[input] = event.usage.device_us;
    if (event.accepted) {
      if (std::exchange(job.is_accepted, true)) continue;
      event.handle = request;
      event.usage = usage_of(job);
      out.push_back(std::move(event));
      continue;
    }
    if (!event.finish) continue;
    const bool is_fault = event.finish == FinishReason::kError || event.finish == FinishReason::kCancelled;
    --job.open;
    --job.scheduled;
    event.handle = request;
    event.usage = usage_of(job);
    if (is_fault) {
      event.choice = SequenceEvent::kWholeRequest;
    } else {
      event.choice = static_cast<std::int32_t>(input);
      event.choice_finish = event.finish;
    }
    if (is_fault || job.open == 0) {
      closed.insert(closed.end(), job.handles.begin(), job.handles.end());
      (void)close(request, scheduled);
    } else {
      event.finish.reset();
    }
    out.push_back(std::move(event));
  }
  return out;
}

std::vector<std::unique_ptr<Sequence>> EmbedJobs::take_ready(std::int32_t at_once) {
  std::vector<std::unique_ptr<Sequence>> ready;
  for (auto& [request, job] : jobs_) {
    for (; job.scheduled < at_once && !job.waiting.empty(); ++job.scheduled) {
      ready.push_back(std::move(job.waiting.front()));
      job.waiting.pop_front();
    }
  }
  return ready;
}

}  // namespace tidegate::worker
