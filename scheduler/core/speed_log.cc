#include "scheduler/core/speed_log.h"

#include <algorithm>

namespace tidegate::scheduler {

namespace {

constexpr auto kSpanLeast = std::chrono::milliseconds(400);  // heartbeats come every 500 ms, more or less
constexpr auto kSpanMost = std::chrono::seconds(3);

double rate(std::int64_t before, std::int64_t after, Duration span) {
  if (after <= before) return 0;
  return static_cast<double>(after - before) / std::chrono::duration<double>(span).count();
}

}  // namespace

void SpeedLog::note(const WorkerReport& report, const WorkerReport* before, Duration span) {
  if (report.state != WorkerState::kReady) return;
  SpeedKey key(report.model, report.variant, report.region, report.pool);
  if (!speeds_.contains(key) && speeds_.size() >= kVariantsMax) return;
  MeasuredSpeed& seen = speeds_[std::move(key)];
  if (report.load_ms > 0) seen.load_ms = report.load_ms;
  seen.sequences_max = report.sequences_max;
  seen.kv_tokens = report.kv_tokens_capacity;
  if (before == nullptr || span < kSpanLeast || span > kSpanMost) return;
  seen.prefill_tokens_per_s =
      std::max(seen.prefill_tokens_per_s, rate(before->prompt_tokens_total, report.prompt_tokens_total, span));
  seen.decode_tokens_per_s =
      std::max(seen.decode_tokens_per_s, rate(before->completion_tokens_total, report.completion_tokens_total, span));
}

}  // namespace tidegate::scheduler
