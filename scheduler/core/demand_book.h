#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/core/clock.h"

namespace tidegate::scheduler {

/// What one gateway has seen of one (model, region, pool). Totals count from the gateway's start, so that a lost report
/// loses nothing.
struct PoolDemand {
  std::string model;
  std::string region;
  std::string pool;
  std::int64_t arrivals_total = 0;
  std::int64_t dispatches_total = 0;
  std::int64_t refusals_total = 0;
  std::int64_t prompt_tokens_total = 0;
  std::int64_t waiting = 0;
  Duration oldest_wait{};
};

struct DemandReport {
  std::string gateway_id;
  std::uint64_t epoch = 0;  ///< of the gateway's life; a new one counts from zero
  std::vector<PoolDemand> pools;
};

/// The demand of every pool, summed over the gateways that were heard of lately. One thread.
class DemandBook {
 public:
  struct Limits {
    Duration silent_after = std::chrono::seconds(15);  ///< its queue is not believed in any more
    std::size_t gateways = 256;
    std::size_t pools = 1'024;  ///< a gateway
  };
  struct Rates {
    bool is_known = false;  ///< a gateway was heard of lately, and there is a span to speak of
    double arrivals_per_s = 0;
    double dispatches_per_s = 0;
    double refusals_per_s = 0;
    double prompt_tokens_per_s = 0;
    std::int64_t waiting = 0;
    Duration oldest_wait{};
  };

  DemandBook() = default;
  explicit DemandBook(Limits limits) : limits_(limits) {}

  /// The first of a gateway's life only says where its totals stand. Beyond the limits reports are dropped.
  void report(DemandReport report, Mono now);
  class Mark;
  /// Rates since the last call with the same mark, queues as of now. The first call knows nothing: it begins the span.
  /// Each who asks has a mark of its own: several deployments may serve one pool, and none takes the counts from
  /// another.
  Rates take(const std::string& model, const std::string& region, const std::string& pool, Mark& mark, Mono now) const;
  /// Requests waiting there now, without ending the span that take() measures.
  std::int64_t waiting(const std::string& model, const std::string& region, const std::string& pool, Mono now) const;
  std::size_t gateways(Mono now) const;

 private:
  using Key = std::string;
  struct Gateway {
    std::uint64_t epoch = 0;
    Mono heard{};
    std::map<Key, PoolDemand> pools;
  };
  struct Sum {
    std::int64_t arrivals = 0;
    std::int64_t dispatches = 0;
    std::int64_t refusals = 0;
    std::int64_t prompt_tokens = 0;
  };
  static Key key_of(const std::string& model, const std::string& region, const std::string& pool);

  Limits limits_;
  std::map<std::string, Gateway> gateways_;
  std::map<Key, Sum> pools_;  ///< all that was counted
};

/// How far one who asks has looked.
class DemandBook::Mark {
  friend class DemandBook;
  Sum seen_;
  Mono taken_{};
  bool is_set_ = false;
};

}  // namespace tidegate::scheduler
