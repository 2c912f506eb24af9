#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/core/clock.h"

/// The words of placement: what there is (Pool), how a variant may run there (Layout), what is wanted (Demand), what
/// runs now (Running), and what shall run (Plan). Plain data; who fits into which memory was decided when the table of
/// layouts was made.
namespace tidegate::scheduler::placement {

/// Millionths of the currency. All prices in a problem are of one currency.
using Micros = std::int64_t;
/// Of all money together: far from the end of 64 bits, so that sums and prices times GPUs need no checks.
inline constexpr Micros kMoneyMax = 100'000'000'000'000'000;

/// Things refer to each other by their index.
inline std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

struct Node {
  std::string name;           ///< unique in its pool
  std::string domain;         ///< what fails together: a rack, a leaf switch. Unique across pools by its own name
  std::int32_t gpus_free = 0; ///< for this planner: GPUs held by `current` replicas count as free, foreign use does not
};

/// Nodes that are alike: one region, one kind of accelerator, one shape, one price.
struct Pool {
  std::string name;
  std::string region;
  std::string kind;  ///< of the accelerator, e.g. "H800"
  std::int32_t gpus_per_node = 0;
  Micros price_per_gpu_hour = 0;
  std::int64_t load_bytes_per_s = 0;  ///< weights to a node
  std::string tenant;                 ///< dedicated to that tenant; empty: shared
  std::vector<Node> nodes;
};

/// One way to run one replica of a variant on one kind of pool: a row of a plain table, memory already checked.
struct Layout {
  std::string variant;
  std::string kind;
  std::int32_t node_gpus = 0;  ///< shape it is for; 0: any node with room
  std::string name;            ///< unique for (variant, kind, node_gpus), e.g. "tp8"
  std::int32_t gpus = 0;       ///< of a replica; a multiple of `nodes`
  std::int32_t nodes = 1;      ///< several: distinct nodes of one failure domain, the same number of GPUs on each
  std::int64_t throughput = 0; ///< tokens a second of a replica
  std::int64_t load_bytes = 0; ///< to fetch before it starts
  std::int64_t warm_up_s = 0;  ///< after the weights are there
};

/// What one variant must serve for one group of regions.
struct Demand {
  std::string name;  ///< unique
  std::string variant;
  std::string tenant;                ///< whose quota it uses and whose pools it may use; empty: nobody's
  std::vector<std::string> regions;  ///< residency: replicas stay in these; empty: anywhere
  bool is_dedicated = false;         ///< only in pools of its tenant
  std::int64_t throughput = 0;       ///< tokens a second
  std::int32_t replicas_min = 1;
  std::int32_t domains_min = 1;       ///< failure domains its replicas are spread over
  bool survives_replica_loss = false; ///< N+1: the throughput is counted without the largest replica
  Micros unserved_per_unit_hour = 0;  ///< of SLO penalty for each token a second that is not served
};

/// A ceiling on the GPUs of one tenant.
struct Quota {
  std::string tenant;
  std::string kind;  ///< empty: all kinds together
  std::int64_t gpus_max = 0;
};

/// A replica, by names, so that it outlives changes of the inventory.
struct Running {
  std::string demand;
  std::string pool;
  std::string layout;
  std::vector<std::string> nodes;

  bool operator==(const Running&) const = default;
};

struct Problem {
  std::vector<Pool> pools;
  std::vector<Layout> layouts;
  std::vector<Demand> demands;
  std::vector<Quota> quotas;
  /// Replicas that run or start now. One whose node is gone is lost: it costs nothing to remove.
  std::vector<Running> current;
  std::int64_t horizon_s = 3600;  ///< for how long the plan is priced: a move must pay for itself within
  std::int64_t drain_s = 60;      ///< a removed replica is paid for that long; at most the horizon
};

inline constexpr std::size_t kPoolsMax = 4096;
inline constexpr std::size_t kNodesMax = 262'144;
inline constexpr std::size_t kDemandsMax = 16'384;
inline constexpr std::size_t kLayoutsMax = 262'144;
inline constexpr std::int32_t kNodeGpusMax = 64;
inline constexpr std::int32_t kReplicaNodesMax = 64;
inline constexpr std::int32_t kReplicasMinMax = 64;
inline constexpr std::int64_t kThroughputMax = 1'000'000'000'000;
inline constexpr Micros kPriceMax = 10'000'000'000;  ///< 10,000 an hour
inline constexpr std::int64_t kHorizonMax = 31 * 86'400;

/// What solving may cost. It ends with whichever comes first; iterations alone make it repeatable bit for bit.
struct Budget {
  std::uint64_t seed = 1;
  std::int64_t iterations_max = std::numeric_limits<std::int64_t>::max();
  const Clock* clock = nullptr;  ///< null: no limit of time
  Duration time_max = std::chrono::seconds(1);
};

enum class Outcome : std::uint8_t {
  kServed,   ///< everything asked for
  kShort,    ///< replicas, domains and residency as asked, but less throughput
  kRefused,  ///< nothing new is placed; replicas that already run may be held
};

/// "served" | "short" | "refused"
std::string_view outcome_name(Outcome outcome);

struct Assignment {
  Running replica;
  bool is_kept = false;  ///< runs there already
  bool is_held = false;  ///< kept although its demand is refused: better than nothing, and no room for better
};

struct DemandPlan {
  std::string demand;
  Outcome outcome = Outcome::kRefused;
  std::int64_t throughput = 0;  ///< that counts (without the largest replica where N+1 is asked)
  std::int32_t replicas = 0;
  Micros cost = 0;  ///< GPUs, moves and penalty over the horizon
  std::string why;  ///< one or two sentences for a person
  /// Of a refused or short one: the nearest plan that fits, in words; empty when there is none.
  std::string nearest;
};

struct PoolPrice {
  std::string pool;
  Micros scarcity_per_gpu = 0;  ///< what one GPU more would save over the horizon, as the bound sees it
  std::int64_t gpus_free = 0;   ///< of the inventory given
  std::int64_t gpus_used = 0;   ///< by the plan
};

struct PlanCost {
  Micros gpus = 0;     ///< running replicas
  Micros starts = 0;   ///< loading and warming new ones
  Micros drains = 0;   ///< replicas that stop
  Micros penalty = 0;  ///< unserved demand
  Micros total() const { return gpus + starts + drains + penalty; }
};

struct Plan {
  std::vector<Assignment> assignments;  ///< by demand, then pool
  std::vector<DemandPlan> demands;      ///< as in the problem
  std::vector<PoolPrice> pools;         ///< as in the problem
  std::vector<Micros> quota_prices;     ///< as in the problem
  PlanCost cost;
  /// No plan for this problem costs less: the Lagrangian dual, in whole numbers, so without rounding errors.
  Micros lower_bound = 0;
  std::int64_t iterations = 0;
  std::int32_t moved = 0;  ///< replicas that start somewhere new while another of the same demand stops

  /// Parts per million above the bound.
  std::int64_t gap_ppm() const;
};

/// The money of `gpus` GPUs for `seconds`, rounded up.
Micros gpu_cost(std::int64_t gpus, Micros price_per_gpu_hour, std::int64_t seconds);
/// What `units` unserved tokens a second cost over the horizon, rounded up.
Micros unserved_cost(std::int64_t units, Micros per_unit_hour, std::int64_t horizon_s);
/// Seconds from the decision until the replica serves.
std::int64_t startup_s(const Layout& layout, const Pool& pool);

}  // namespace tidegate::scheduler::placement
