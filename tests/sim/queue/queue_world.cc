#include "tests/sim/queue/queue_world.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/core/check.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {
namespace {

constexpr int kTriesMax = 3;
constexpr Duration kPatience = std::chrono::seconds(60);
constexpr std::int64_t kOutputCeiling = 1'000;
constexpr double kInputWeight = 1;
constexpr double kOutputWeight = 2;

Duration span_of(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

/// A log-normal number with this mean.
std::int64_t draw(Rng& rng, double mean, double sigma, std::int64_t least, std::int64_t most) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.unit()));
  const double normal = radius * std::cos(2 * std::numbers::pi * rng.unit());
  const double value = std::exp(std::log(mean) - sigma * sigma / 2 + sigma * normal);
  return std::clamp(static_cast<std::int64_t>(value), least, most);
}

}  // namespace

QueueWorld::QueueWorld(std::uint64_t seed, std::size_t slots, FairQueueLimits limits)
    : seed_(seed), slots_(slots), free_(slots), queue_(limits) {}

void QueueWorld::add(Stream stream) {
  const std::uint64_t own = seed_ * 1'000 + stream.tenant * 4 + tier_index(stream.tier);
  streams_.push_back(Source{stream, Rng(own)});
}

void QueueWorld::run(Duration until) {
  until_ = until;
  for (std::size_t i = 0; i < streams_.size(); ++i) schedule_offer(i);
  while (!events_.empty()) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    switch (event.what) {
      case What::kOffer: offer(event.index); break;
      case What::kRetry: submit(event.index); break;
      case What::kAccept: accept(event.index); break;
      case What::kToken: produce(event.index, event.count); break;
    }
  }
}

double QueueWorld::goodput(Duration from, Duration until) const {
  double work = 0;
  for (const Made& made : made_) {
    if (made.is_good && made.at >= from && made.at < until) work += made.work;
  }
  return work / std::chrono::duration<double>(until - from).count();
}

double QueueWorld::work_of(ServiceTier tier, Duration from, Duration until) const {
  double work = 0;
  for (const Made& made : made_) {
    if (made.tier == tier && made.at >= from && made.at < until) work += made.work;
  }
  return work;
}

void QueueWorld::schedule(Duration at, What what, std::size_t index, std::int64_t count) {
  events_.push(Event{at, ++order_, what, index, count});
}

/// Offers come at the higher of the two rates, and are thinned to the one in force.
void QueueWorld::schedule_offer(std::size_t index) {
  Source& source = streams_[index];
  const double most = std::max(source.stream.per_second, source.stream.surge_per_second);
  const Duration at = std::max(now_, source.stream.from) + span_of(-std::log(1 - source.rng.unit()) / most);
  if (at < until_) schedule(at, What::kOffer, index);
}

void QueueWorld::offer(std::size_t index) {
  Source& source = streams_[index];
  const Stream& stream = source.stream;
  const bool is_surge = now_ >= surge_from_ && now_ < surge_until_;
  const double rate = is_surge ? stream.surge_per_second : stream.per_second;
  const bool comes = source.rng.unit() * std::max(stream.per_second, stream.surge_per_second) < rate;
  if (comes) {
    Request request;
    request.stream = index;
    request.came = now_;
    request.input = draw(source.rng, 1'000, 0.8, 16, 8'000);
    request.output = draw(source.rng, 200, 0.7, 4, kOutputCeiling);
    constexpr double kCached[] = {0, 0, 0.5, 0.9};
    const double cached = kCached[source.rng.below(4)];
    request.uncached = request.input - static_cast<std::int64_t>(static_cast<double>(request.input) * cached);
    const double guess = static_cast<double>(request.input) * (0.8 + 0.4 * source.rng.unit());
    request.estimate = std::max<std::int64_t>(1, static_cast<std::int64_t>(guess));
    requests_.push_back(request);
  }
  schedule_offer(index);
  if (comes) submit(requests_.size() - 1);
}

void QueueWorld::submit(std::size_t index) {
  Request& request = requests_[index];
  const Stream& stream = stream_of(request);
  QueueAsk ask;
  ask.tenant = TenantId{tidegate::test::SequentialIds::make(stream.tenant)};
  ask.weight = stream.weight;
  ask.tier = stream.tier;
  ask.input = request.estimate;
  ask.input_max = request.estimate * 4;
  ask.output_max = kOutputCeiling;
  ++request.tries;
  if (request.tries == 2) request.second_at = now_;
  if (const auto refusal = queue_.refuse(ask, now())) {
    ++refusals_;
    TG_CHECK(refusal->retry_after.has_value() && *refusal->retry_after >= std::chrono::seconds(1));
    if (!request.told) request.told = refusal->retry_after;
    if (request.tries < kTriesMax && *refusal->retry_after <= kPatience) {
      const Duration late = stream.keeps_time ? Duration::zero() : PromiseBook::kKept + std::chrono::seconds(1);
      schedule(now_ + *refusal->retry_after + late, What::kRetry, index);
    }
    return;
  }
  if (request.tries == 2) request.second_admitted = true;
  request.admitted = now_;
  TG_CHECK(queue_.push(index + 1, ask, now()).has_value());
  pump();
}

void QueueWorld::pump() {
  while (free_ > 0) {
    const auto next = queue_.pop(now(), free_);
    if (!next) break;
    --free_;
    const std::size_t index = next->ticket - 1;
    const Duration prefill = span_of(static_cast<double>(requests_[index].uncached) / kPrefillPerSecond) + kTokenEvery;
    schedule(now_ + prefill / 2, What::kAccept, index);
    schedule(now_ + prefill, What::kToken, index, 1);
  }
  const FairnessGap fairness = queue_.fairness();
  gap_most_ = std::max(gap_most_, fairness.gap);
  if (fairness.bound > 0) gap_over_bound_most_ = std::max(gap_over_bound_most_, fairness.gap / fairness.bound);
}

void QueueWorld::accept(std::size_t index) {
  const Request& request = requests_[index];
  queue_.accept(index + 1, request.uncached, now());
  note(request, kInputWeight * static_cast<double>(request.uncached));
}

void QueueWorld::produce(std::size_t index, std::int64_t count) {
  Request& request = requests_[index];
  if (!request.first_token) request.first_token = now_;
  queue_.produce(index + 1, count, now());
  note(request, kOutputWeight * static_cast<double>(count - request.produced));
  request.produced = count;
  if (count >= request.output) {
    queue_.finish(index + 1, now());
    ++free_;
    pump();
    return;
  }
  const std::int64_t next = std::min(request.output, count + std::max<std::int64_t>(8, request.output / 4));
  schedule(now_ + (next - count) * kTokenEvery, What::kToken, index, next);
}

void QueueWorld::note(const Request& request, double work) {
  const bool is_good = request.admitted && request.first_token.value_or(now_) - *request.admitted < kGoodWait;
  made_.push_back(Made{now_, work, stream_of(request).tier, is_good});
}

}  // namespace tidegate::gateway::test
