#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/core/home.h"
#include "scheduler/core/place/types.h"
#include "scheduler/core/speed_log.h"

/// What a deployment would be, before there is one: where it fits, what it costs, how much it holds, how fast it is, when
/// it serves. From the catalogue, what fits (core/fit), the pools there are, room in them (core/place), and what replicas
/// of it were seen to do. Pure.
namespace tidegate::scheduler {

/// One pool that replicas may run in.
struct PlannedPool {
  std::string name;
  std::string region;
  AcceleratorKind accelerator;
  std::int32_t per_node = 1;               ///< accelerators of a node
  std::int64_t price_micros_per_hour = 0;  ///< of one accelerator; 0: not known
  std::int64_t load_bytes_per_s = 0;       ///< of weights to a node; 0: not known
  std::string tenant;                      ///< dedicated to it; empty: shared
  std::vector<placement::Node> nodes;
  /// Replicas are processes of our own engine here, sized by its options; no accelerators are counted.
  bool is_local = false;
  bool is_pod = false;  ///< with is_local: each replica is a pod, and has the kind's memory for itself
};

struct PlanRequest {
  std::string model;
  std::string variant;  ///< or a precision; empty: all
  std::string region;   ///< empty: any
  std::string pool;     ///< empty: any
  std::int64_t context = 0;
  std::int32_t replicas = 1;
  std::int32_t sequences_max = 0;
  bool is_dedicated = false;
};

struct PlanOption {
  std::string region;
  std::string pool;
  std::string accelerator;
  std::string variant;
  std::string layout;
  std::int32_t accelerators = 0;  ///< of one replica
  std::int32_t replicas = 1;
  std::int64_t price_micros_per_hour = 0;  ///< of all; 0: not known
  std::int64_t context_max = 0;
  std::int64_t concurrency = 0;  ///< of all
  std::int64_t kv_tokens = 0;    ///< of all
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;
  double decode_tokens_per_s_each = 0;
  std::string speed_from;  ///< "measured" | "estimate" | ""
  std::int64_t ready_s = -1;
  std::string ready_from;
  std::int64_t weights_bytes = 0;
  bool can_deploy = false;
  std::vector<std::string> notes;
};

struct PlanRefusal {
  std::string region;
  std::string pool;
  std::string variant;
  std::string reason;
  std::string message;
};

struct DeploymentPlan {
  std::string model;
  std::int64_t context = 0;
  std::vector<PlanOption> options;    ///< those that this installation can start now first, then the cheapest
  std::vector<PlanRefusal> refusals;  ///< by pool and variant
};

inline constexpr std::size_t kPlanOptionsMax = 64;
inline constexpr std::size_t kPlanRefusalsMax = 64;

class DeploymentPlanner {
 public:
  /// The catalogue outlives the planner.
  DeploymentPlanner(const Catalogue& catalogue, std::vector<PlannedPool> pools)
      : catalogue_(catalogue), pools_(std::move(pools)) {}

  const std::vector<PlannedPool>& pools() const { return pools_; }

  /// Nothing that fits is no failure: then there are only refusals.
  /// Fails: not_found/{unknown_model, unknown_variant, unknown_pool}, invalid_argument/out_of_range.
  Result<DeploymentPlan> plan(const PlanRequest& request, const MeasuredSpeeds& measured) const;

  /// Of the pools that this installation starts replicas in, those that the deployment may be in and that can have all of it: the
  /// cheapest, then the one with the fewest replicas, then the first. Never waits: accelerators are not searched.
  /// Fails: failed_precondition/no_pool, with what speaks against each; not_found/{unknown_model, unknown_variant}.
  Result<PoolName> home_for(const HomeRequest& request) const;

 private:
  Result<PlanOption> option_in(const PlannedPool& pool, const CatalogueModel& model, const CatalogueVariant& variant,
                               const PlanRequest& request, const MeasuredSpeeds& measured) const;
  Result<PlanOption> local_option(const PlannedPool& pool, const CatalogueModel& model, const CatalogueVariant& variant,
                                  const PlanRequest& request) const;

  const Catalogue& catalogue_;
  std::vector<PlannedPool> pools_;
};

}  // namespace tidegate::scheduler
