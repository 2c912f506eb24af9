#include "gateway/core/fair_queue.h"

#include <algorithm>
#include <cmath>

namespace tidegate::gateway {
namespace {

/// Memory of the leaving rate. Short enough to notice a lost pool, long enough to see past one long answer.
constexpr double kRateWindowSeconds = 10.0;
constexpr std::size_t kIdleLinesMax = 16'384;

}  // namespace

std::expected<std::size_t, Refusal> FairQueue::push(QueueTicket ticket, TenantId tenant, std::int64_t cost, Mono now) {
  if (size_ >= limits_.length_max) {
    return std::unexpected(Refusal(Error(Code::kResourceExhausted, "queue_full",
                                         "Too many requests are waiting for this model; retry after the given time."),
                                   wait_estimate(now)));
  }
  forget_idle();
  Line& line = lines_[tenant.uuid];
  if (line.waiting.empty()) lift(line);
  line.waiting.push_back(Waiting{ticket, tenant, cost, now});
  return size_++;
}

std::optional<FairQueue::Waiting> FairQueue::pop(Mono now) {
  Line* line = least_line();
  if (line == nullptr) return std::nullopt;
  Waiting next = line->waiting.front();
  line->waiting.pop_front();
  --size_;
  virtual_time_ = std::max(virtual_time_, line->counter);
  line->counter += next.cost;

  leaving_per_second_ = rate_at(now) + 1.0 / kRateWindowSeconds;
  last_pop_ = now;
  return next;
}

const FairQueue::Waiting* FairQueue::peek() const {
  const Line* line = least_line();
  return line == nullptr ? nullptr : &line->waiting.front();
}

void FairQueue::restore(const Waiting& waiting) {
  Line& line = lines_[waiting.tenant.uuid];
  line.waiting.push_front(waiting);
  line.counter -= waiting.cost;
  ++size_;
}

bool FairQueue::remove(QueueTicket ticket) {
  for (auto& [tenant, line] : lines_) {
    const auto found = std::ranges::find(line.waiting, ticket, &Waiting::ticket);
    if (found == line.waiting.end()) continue;
    line.waiting.erase(found);
    --size_;
    return true;
  }
  return false;
}

void FairQueue::charge(TenantId tenant, std::int64_t tokens) {
  // A tenant that was forgotten meanwhile starts again at the lift, which costs it no less.
  if (const auto found = lines_.find(tenant.uuid); found != lines_.end()) found->second.counter += tokens;
}

std::vector<FairQueue::Waiting> FairQueue::take_expired(Mono now) {
  std::vector<Waiting> expired;
  for (auto& [tenant, line] : lines_) {
    // Arrival order within a line is age order; restore() keeps it.
    while (!line.waiting.empty() && now - line.waiting.front().since >= limits_.wait_max) {
      expired.push_back(line.waiting.front());
      line.waiting.pop_front();
      --size_;
    }
  }
  return expired;
}

std::optional<Mono> FairQueue::next_expiry() const {
  std::optional<Mono> next;
  for (const auto& [tenant, line] : lines_) {
    if (line.waiting.empty()) continue;
    const Mono at = line.waiting.front().since + limits_.wait_max;
    if (!next || at < *next) next = at;
  }
  return next;
}

std::size_t FairQueue::tenants_waiting() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(lines_, [](const auto& entry) { return !entry.second.waiting.empty(); }));
}

Duration FairQueue::wait_estimate(Mono now) const {
  const Duration most = std::max<Duration>(limits_.wait_max, std::chrono::seconds(1));
  const double rate = rate_at(now);
  if (rate < 1e-3) return std::min<Duration>(most, std::chrono::seconds(5));
  const double seconds = static_cast<double>(size_ + 1) / rate;
  const double capped = std::min(seconds, std::chrono::duration<double>(most).count());
  return std::max<Duration>(std::chrono::seconds(1), std::chrono::duration_cast<Duration>(std::chrono::duration<double>(capped)));
}

double FairQueue::rate_at(Mono now) const {
  // An exponential window: it decays with silence by itself, so that a dead pool does not look fast.
  return leaving_per_second_ * std::exp(-std::chrono::duration<double>(now - last_pop_).count() / kRateWindowSeconds);
}

FairQueue::Line* FairQueue::least_line() {
  return const_cast<Line*>(static_cast<const FairQueue*>(this)->least_line());
}

const FairQueue::Line* FairQueue::least_line() const {
  // Linear in tenants waiting: tens in practice, and a pop happens once per request.
  const Line* least = nullptr;
  for (const auto& [tenant, line] : lines_) {
    if (line.waiting.empty()) continue;
    if (least == nullptr || line.counter < least->counter ||
        (line.counter == least->counter && line.waiting.front().ticket < least->waiting.front().ticket)) {
      least = &line;
    }
  }
  return least;
}

void FairQueue::lift(Line& line) const {
  const Line* least = least_line();
  line.counter = std::max(line.counter, least == nullptr ? virtual_time_ : least->counter);
}

void FairQueue::forget_idle() {
  if (lines_.size() < kIdleLinesMax) return;
  std::erase_if(lines_, [](const auto& entry) { return entry.second.waiting.empty(); });
}

}  // namespace tidegate::gateway
