#include "gateway/core/worker_health.h"

#include <algorithm>
#include <bit>

namespace tidegate::gateway {
namespace {

constexpr std::uint32_t kWindowBits = (1U << WorkerHealth::kWindow) - 1;
static_assert(WorkerHealth::kWindow < 32);
constexpr double kJitter = 0.2;
/// 2^20 x the least ejection is beyond any most.
constexpr int kDoublingsMax = 20;

}  // namespace

std::string_view eject_reason_name(EjectReason reason) {
  switch (reason) {
    case EjectReason::kErrorsInARow: return "errors_in_a_row";
    case EjectReason::kErrorShare: return "error_share";
    case EjectReason::kStalled: return "stalled";
    case EjectReason::kProbeFailed: return "probe_failed";
  }
  return "errors_in_a_row";
}

void WorkerHealth::join(Worker worker, Mono now) {
  // A worker that comes back keeps its record: breaking the session is no way out of an ejection.
  Record& record = records_.try_emplace(worker).first->second;
  record.running = 0;
  record.is_probing = false;
  record.silent_since = now;
}

bool WorkerHealth::may_take(Worker worker, Mono now) const {
  const auto found = records_.find(worker);
  if (found == records_.end() || !found->second.ejected_until) return true;
  return now >= *found->second.ejected_until && !found->second.is_probing;
}

void WorkerHealth::on_start(Worker worker, Mono now) {
  Record* record = find(worker);
  if (record == nullptr) return;
  if (record->running++ == 0) record->silent_since = now;
  if (record->ejected_until) record->is_probing = true;
}

void WorkerHealth::on_good(Worker worker, Mono now) {
  Record* record = find(worker);
  if (record == nullptr) return;
  note(*record, false);
  if (record->ejected_until) {
    // Only the probe's answer counts; what ran before the ejection proves nothing.
    if (!record->is_probing) return;
    record->ejected_until.reset();
    record->is_probing = false;
    record->history = 0;
    record->outcomes = 0;
    record->good_since = now;
  } else if (record->ejections > 0 && now - record->good_since >= options_.eject_most) {
    record->ejections = 0;
  }
}

std::optional<WorkerHealth::Ejection> WorkerHealth::on_over(Worker worker, bool is_failure, Mono now) {
  Record* record = find(worker);
  if (record == nullptr) return std::nullopt;
  record->running = std::max(0, record->running - 1);
  if (!is_failure) {
    // A probe whose client left proves nothing: the next request is one.
    record->is_probing = record->is_probing && record->running > 0;
    return std::nullopt;
  }
  note(*record, true);
  return judge(worker, *record, now);
}

std::optional<WorkerHealth::Ejection> WorkerHealth::on_lost(Worker worker, Mono now) {
  Record* record = find(worker);
  if (record == nullptr) return std::nullopt;
  record->running = 0;
  note(*record, true);
  return judge(worker, *record, now);
}

void WorkerHealth::on_frame(Worker worker, Mono now) {
  if (Record* record = find(worker)) record->silent_since = now;
}

std::vector<WorkerHealth::Ejection> WorkerHealth::check_stalls(Mono now) {
  std::vector<Ejection> out;
  for (auto& [worker, record] : records_) {
    if (record.running == 0 || now - record.silent_since < options_.stall_after) continue;
    if (record.ejected_until && !record.is_probing) continue;
    record.silent_since = now;  // asked again after as long a silence
    if (auto ejection = eject(worker, record, EjectReason::kStalled, now)) out.push_back(*ejection);
  }
  return out;
}

bool WorkerHealth::is_ejected(Worker worker) const {
  const auto found = records_.find(worker);
  return found != records_.end() && found->second.ejected_until.has_value();
}

std::size_t WorkerHealth::ejected() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(records_, [](const auto& entry) { return entry.second.ejected_until.has_value(); }));
}

WorkerHealth::Record* WorkerHealth::find(Worker worker) {
  const auto found = records_.find(worker);
  return found == records_.end() ? nullptr : &found->second;
}

void WorkerHealth::note(Record& record, bool is_failure) {
  record.errors_in_a_row = is_failure ? record.errors_in_a_row + 1 : 0;
  record.history = ((record.history << 1) | (is_failure ? 1U : 0U)) & kWindowBits;
  record.outcomes = std::min(record.outcomes + 1, kWindow);
}

std::optional<WorkerHealth::Ejection> WorkerHealth::judge(Worker worker, Record& record, Mono now) {
  if (record.ejected_until) {
    if (!record.is_probing) return std::nullopt;
    return eject(worker, record, EjectReason::kProbeFailed, now);
  }
  if (record.errors_in_a_row >= options_.errors_in_a_row) return eject(worker, record, EjectReason::kErrorsInARow, now);
  const double share = std::popcount(record.history) / static_cast<double>(kWindow);
  if (record.outcomes < kWindow || share <= options_.error_share_max) return std::nullopt;
  return eject(worker, record, EjectReason::kErrorShare, now);
}

std::optional<WorkerHealth::Ejection> WorkerHealth::eject(Worker worker, Record& record, EjectReason reason, Mono now) {
  if (!record.ejected_until && !may_eject_another()) return std::nullopt;
  const int doublings = std::min(record.ejections, kDoublingsMax);
  const Duration grown = options_.eject_least * (std::int64_t{1} << doublings);
  const Duration most = std::min(std::max(grown, options_.eject_least), options_.eject_most);
  // Gateways that saw the same failure do not come back together.
  const double jitter = 1 - kJitter + 2 * kJitter * rng_.unit();
  const auto lasts = Duration(static_cast<Duration::rep>(static_cast<double>(most.count()) * jitter));
  ++record.ejections;
  record.ejected_until = now + lasts;
  record.is_probing = false;
  record.errors_in_a_row = 0;
  record.history = 0;
  record.outcomes = 0;
  return Ejection{worker, reason, lasts};
}

bool WorkerHealth::may_eject_another() const {
  const std::size_t workers = records_.size();
  const double share = options_.ejected_share_max * static_cast<double>(workers);
  const auto most = std::max<std::size_t>(1, static_cast<std::size_t>(share));
  const std::size_t out = ejected();
  return out < most && out + 1 < workers;
}

}  // namespace tidegate::gateway
