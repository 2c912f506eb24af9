#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <functional>
#include <numbers>
#include <queue>
#include <vector>

#include "base/core/check.h"
#include "base/core/random.h"
#include "gateway/core/fair_queue.h"
#include "gateway/core/pool_room.h"
#include "gateway/core/worker_picker.h"
#include "tests/support/sequential_ids.h"

/// The pool of tests/e2e/56_fair_share: workers with a batch, credits beyond it and one line of prompts each.
namespace tidegate::gateway::crowd_sim_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kWorkers = 8;
constexpr std::int64_t kBatch = 32;
constexpr std::int64_t kOvercommit = 2;
constexpr double kReadPerSecond = 2'500;
constexpr Duration kStep = milliseconds(40);
constexpr double kPromptMean = 250;
constexpr double kWordsMean = 250;
constexpr std::uint64_t kNeighbour = 4;  ///< of the tenants from 1
constexpr double kQuiet = 0.12;          ///< of the pool, each of the others
constexpr Duration kFrom = seconds(25);
constexpr Duration kUntil = seconds(85);
constexpr std::uint64_t kSeeds = 4;

Duration span_of(double s) { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s)); }

/// Requests a second that fill the batches.
double capacity() {
  const double answer = kPromptMean / kReadPerSecond + (kWordsMean + 2) * std::chrono::duration<double>(kStep).count();
  return static_cast<double>(kBatch) * static_cast<double>(kWorkers) / answer;
}

double percentile(std::vector<double> values, double part) {
  TG_CHECK(!values.empty());
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(part * static_cast<double>(values.size())))];
}

/// How room is counted.
enum class Count : std::uint8_t { kPlaces, kCredits };

class CrowdWorld {
 public:
  /// The neighbour asks for `times` its share.
  CrowdWorld(std::uint64_t seed, double times, Count count) : count_(count), picker_(PickerOptions{}, seed) {
    for (std::uint64_t tenant = 1; tenant <= kNeighbour; ++tenant) {
      const double rate = tenant == kNeighbour ? times * capacity() / kNeighbour : kQuiet * capacity();
      sources_.push_back(Source{Rng(seed * 10 + tenant), rate});
    }
  }

  void run() {
    for (std::size_t i = 0; i < sources_.size(); ++i) schedule_offer(i);
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      if (now_ > kUntil + seconds(10)) break;  // those who came in time have their first token
      switch (event.what) {
        case What::kOffer: offer(event.index); break;
        case What::kFirst: begin_answer(event.index); break;
        case What::kEnd: end_answer(event.index); break;
      }
    }
  }

  /// Of the others, in the window: seconds to the first token, and how many were refused.
  std::vector<double> waits;
  std::size_t refused = 0;
  std::size_t neighbour_served = 0;
  double gap_over_bound_most = 0;

 private:
  enum class What : std::uint8_t { kOffer, kFirst, kEnd };
  struct Event {
    Duration at{};
    std::uint64_t order = 0;
    What what = What::kOffer;
    std::size_t index = 0;  ///< of a source (kOffer) or of a request
    bool operator>(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  struct Source {
    Rng rng;
    double per_second = 0;
  };
  struct Request {
    std::uint64_t tenant = 0;
    std::int64_t tokens = 0;
    std::int64_t words = 0;
    Duration came{};
    std::size_t worker = 0;
  };
  struct Worker {
    std::int64_t running = 0;
    std::deque<std::size_t> line;  ///< started, without a place
    Duration read_until{};
    std::int64_t tokens_lifetime = 0;

    std::int64_t live() const { return running + std::ssize(line); }
    std::int64_t credits() const { return kBatch + kOvercommit - live(); }
    std::int64_t places() const { return kBatch - running; }
  };

  Mono now() const { return Mono(seconds(1'000)) + now_; }
  void schedule(Duration at, What what, std::size_t index) { events_.push(Event{at, ++order_, what, index}); }

  void schedule_offer(std::size_t source) {
    const double gap = -std::log(1 - sources_[source].rng.unit()) / sources_[source].per_second;
    const Duration at = now_ + span_of(gap);
    if (at < kUntil) schedule(at, What::kOffer, source);
  }

  void offer(std::size_t source) {
    Rng& rng = sources_[source].rng;
    constexpr double kSigma = 0.8;
    const double normal = std::sqrt(-2 * std::log(1 - rng.unit())) * std::cos(2 * std::numbers::pi * rng.unit());
    const double tokens = std::exp(std::log(kPromptMean) - kSigma * kSigma / 2 + kSigma * normal);
    Request request;
    request.tenant = source + 1;
    request.tokens = static_cast<std::int64_t>(std::clamp(tokens, kPromptMean / 5, kPromptMean * 5));
    request.words = static_cast<std::int64_t>(kWordsMean * (0.5 + rng.unit()));
    request.came = now_;
    schedule_offer(source);
    QueueAsk ask;
    ask.tenant = TenantId{tidegate::test::SequentialIds::make(request.tenant)};
    ask.input = request.tokens;
    ask.input_max = request.tokens * 4;
    ask.output_max = request.words;
    const bool is_in_window = request.came >= kFrom;
    if (queue_.refuse(ask, now())) {
      refused += request.tenant != kNeighbour && is_in_window ? 1 : 0;
      return;
    }
    requests_.push_back(request);
    if (!queue_.push(requests_.size(), ask, now())) {
      refused += request.tenant != kNeighbour && is_in_window ? 1 : 0;
      return;
    }
    pump();
  }

  /// As the dispatcher does it: how many may leave, who is next, who gets it.
  void pump() {
    while (!queue_.empty()) {
      PoolRoom room;
      for (const Worker& worker : workers_) {
        if (worker.credits() <= 0) continue;
        room.add(worker.credits(), count_ == Count::kPlaces ? worker.places() : worker.credits());
      }
      const std::size_t slots = room.slots(queue_);
      if (slots == 0) break;
      const auto next = queue_.pop(now(), slots);
      if (!next) break;
      start(next->ticket - 1);
    }
    const FairnessGap fairness = queue_.fairness();
    if (fairness.bound > 0) gap_over_bound_most = std::max(gap_over_bound_most, fairness.gap / fairness.bound);
  }

  void start(std::size_t index) {
    std::vector<std::size_t> able;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (workers_[i].credits() > 0) able.push_back(i);
    }
    const auto is_full = [this](std::size_t i) { return workers_[i].places() == 0; };
    if (count_ == Count::kPlaces && !std::ranges::all_of(able, is_full)) std::erase_if(able, is_full);
    std::vector<WorkerView> views;
    for (const std::size_t i : able) {
      const Worker& worker = workers_[i];
      const double ahead = std::chrono::duration<double>(std::max(worker.read_until - now_, Duration::zero())).count();
      WorkerView view;
      view.tokens_ahead = static_cast<std::int64_t>(ahead * kReadPerSecond);
      view.sequences = static_cast<std::int32_t>(worker.live());
      view.prefill_rate = kReadPerSecond;
      view.tokens_lifetime = worker.tokens_lifetime;
      views.push_back(view);
    }
    const auto picked = picker_.pick(views, requests_[index].tokens);
    TG_CHECK(picked.has_value());
    requests_[index].worker = able[*picked];
    Worker& worker = workers_[able[*picked]];
    worker.tokens_lifetime += requests_[index].tokens;
    if (worker.places() > 0) {
      take_place(worker, index);
    } else {
      worker.line.push_back(index);
    }
  }

  void take_place(Worker& worker, std::size_t index) {
    ++worker.running;
    const Request& request = requests_[index];
    const Duration reading = span_of(static_cast<double>(request.tokens) / kReadPerSecond);
    worker.read_until = std::max(worker.read_until, now_) + reading;
    queue_.accept(index + 1, request.tokens, now());
    schedule(worker.read_until + kStep, What::kFirst, index);
  }

  void begin_answer(std::size_t index) {
    const Request& request = requests_[index];
    queue_.produce(index + 1, 1, now());
    if (request.tenant == kNeighbour) {
      ++neighbour_served;
    } else if (request.came >= kFrom) {
      waits.push_back(std::chrono::duration<double>(now_ - request.came).count());
    }
    schedule(now_ + request.words * kStep, What::kEnd, index);
  }

  void end_answer(std::size_t index) {
    const Request& request = requests_[index];
    queue_.produce(index + 1, request.words, now());
    queue_.finish(index + 1, now());
    Worker& worker = workers_[request.worker];
    --worker.running;
    if (!worker.line.empty()) {
      const std::size_t next = worker.line.front();
      worker.line.pop_front();
      take_place(worker, next);
    }
    pump();
  }

  const Count count_;
  WorkerPicker picker_;
  FairQueue queue_{FairQueueLimits{.length_max = 512}};
  std::vector<Source> sources_;
  std::vector<Request> requests_;  ///< a ticket is the index and one
  std::array<Worker, kWorkers> workers_{};
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  Duration now_{};
};

/// All seeds together.
struct Seen {
  std::vector<double> waits;
  std::size_t refused = 0;
  std::size_t neighbour_served = 0;
  double gap_over_bound_most = 0;
};

Seen crowd_sim_runs(double times, Count count) {
  Seen seen;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CrowdWorld world(seed, times, count);
    world.run();
    seen.waits.insert(seen.waits.end(), world.waits.begin(), world.waits.end());
    seen.refused += world.refused;
    seen.neighbour_served += world.neighbour_served;
    seen.gap_over_bound_most = std::max(seen.gap_over_bound_most, world.gap_over_bound_most);
  }
  return seen;
}

TEST(CrowdSim, ATenantAtAHundredTimesItsShareDoesNoMoreToTheOthersThanOneAtItsShare) {
  const Seen at_share = crowd_sim_runs(1, Count::kPlaces);
  const Seen crowded = crowd_sim_runs(100, Count::kPlaces);
  ASSERT_GT(at_share.waits.size(), 2'000U);
  EXPECT_EQ(at_share.refused, 0U);
  EXPECT_EQ(crowded.refused, 0U) << "who is below its share is never refused";
  EXPECT_EQ(crowded.waits.size(), at_share.waits.size()) << "the others' requests are the same";
  EXPECT_LE(percentile(crowded.waits, 0.99), 1.10 * percentile(at_share.waits, 0.99));
  EXPECT_LE(percentile(crowded.waits, 0.50), 1.10 * percentile(at_share.waits, 0.50));
  EXPECT_LE(crowded.gap_over_bound_most, 1);
  EXPECT_GT(crowded.neighbour_served, at_share.neighbour_served) << "what the others leave is used";
}

/// Why places are counted and not credits: headroom that is made of credits beyond the batch is a line at a worker.
TEST(CrowdSim, CreditsBeyondTheBatchWouldBeNoHeadroom) {
  const Seen at_share = crowd_sim_runs(1, Count::kCredits);
  const Seen crowded = crowd_sim_runs(100, Count::kCredits);
  EXPECT_GT(percentile(crowded.waits, 0.99), 1.5 * percentile(at_share.waits, 0.99));
}

}  // namespace
}  // namespace tidegate::gateway::crowd_sim_test
