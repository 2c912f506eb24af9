#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <vector>

#include "base/core/random.h"
#include "gateway/core/fair_queue.h"

namespace tidegate::gateway::test {

/// Workers with a number of slots behind one FairQueue, and the clients before it, as a discrete-event simulation: one
/// seed gives one run. A slot reads an uncached prompt at kPrefillPerSecond and then writes a token every kTokenEvery,
/// however many others run: what differs between two runs is the queue's doing alone.
///
/// Every stream draws from its own generator, so that a run with one stream more has the same requests of the others.
class QueueWorld {
 public:
  static constexpr double kPrefillPerSecond = 4'000;
  static constexpr Duration kTokenEvery = std::chrono::milliseconds(25);
  /// Of the requests below: what a slot does in a second at full load, so that loads can be told as shares.
  static constexpr double kServiceSeconds = 5.2;
  /// What started later is no good answer.
  static constexpr Duration kGoodWait = std::chrono::seconds(10);

  /// Clients of one tenant and tier. A refused one waits Retry-After (if that is a minute at most) and tries again,
  /// twice at most, as SDKs do.
  struct Stream {
    std::uint64_t tenant = 1;
    std::int64_t weight = 1;
    ServiceTier tier = ServiceTier::kDefault;
    double per_second = 1;
    double surge_per_second = 1;  ///< while the surge lasts
    bool keeps_time = true;       ///< comes back when it was told, as SDKs do; else too late to be known again
    Duration from{};              ///< offers nothing before
  };
  struct Request {
    std::size_t stream = 0;
    std::int64_t input = 0, estimate = 0, uncached = 0, output = 0;
    Duration came{};
    int tries = 0;
    std::optional<Duration> told;      ///< Retry-After of its first refusal
    std::optional<Duration> second_at; ///< its second try
    bool second_admitted = false;
    std::optional<Duration> admitted;
    std::optional<Duration> first_token;
    std::int64_t produced = 0;
  };

  QueueWorld(std::uint64_t seed, std::size_t slots, FairQueueLimits limits = {});
  void add(Stream stream);
  void surge(Duration from, Duration until) {
    surge_from_ = from;
    surge_until_ = until;
  }
  /// Streams offer until then; what was taken is served to its end.
  void run(Duration until);

  const std::vector<Request>& requests() const { return requests_; }
  const Stream& stream_of(const Request& request) const { return streams_[request.stream].stream; }
  std::size_t refusals() const { return refusals_; }
  std::size_t slots() const { return slots_; }
  double gap_most() const { return gap_most_; }
  double gap_over_bound_most() const { return gap_over_bound_most_; }
  /// Weighted tokens a second of good answers, as they were made.
  double goodput(Duration from, Duration until) const;
  /// Of one stream's tier: weighted tokens made between the two.
  double work_of(ServiceTier tier, Duration from, Duration until) const;
  const FairQueue& queue() const { return queue_; }

 private:
  enum class What : std::uint8_t { kOffer, kRetry, kAccept, kToken };
  struct Event {
    Duration at{};
    std::uint64_t order = 0;
    What what = What::kOffer;
    std::size_t index = 0;  ///< of a stream (kOffer) or of a request
    std::int64_t count = 0;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Source {
    Stream stream;
    Rng rng;
  };
  struct Made {
    Duration at{};
    double work = 0;
    ServiceTier tier = ServiceTier::kDefault;
    bool is_good = false;
  };

  Mono now() const { return Mono(std::chrono::seconds(1'000)) + now_; }
  void schedule(Duration at, What what, std::size_t index, std::int64_t count = 0);
  void schedule_offer(std::size_t index);
  void offer(std::size_t index);
  void submit(std::size_t index);
  void pump();
  void accept(std::size_t index);
  void produce(std::size_t index, std::int64_t count);
  void note(const Request& request, double work);

  std::uint64_t seed_;
  std::size_t slots_;
  std::size_t free_;
  FairQueue queue_;
  std::vector<Source> streams_;
  std::vector<Request> requests_;  ///< a ticket is the index and one
  std::vector<Made> made_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  Duration now_{};
  Duration until_{};
  Duration surge_from_{};
  Duration surge_until_{};
  std::size_t refusals_ = 0;
  double gap_most_ = 0;
  double gap_over_bound_most_ = 0;
};

}  // namespace tidegate::gateway::test
