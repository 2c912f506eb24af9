#include "scheduler/core/plan/deployment_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "scheduler/core/place/place.h"
#include "scheduler/core/speed.h"

namespace tidegate::scheduler {

namespace {

constexpr std::int32_t kLocalSequences = 16;  // the worker's own default
constexpr std::int64_t kPlaceRounds = 64;     // one demand in one pool: found at once, or not at all
/// A replica's work counts as so many units of the highest penalty there is: more than any hour of it costs. Whether it is
/// worth its price is for the person who reads the plan.
constexpr std::int64_t kUnitsOfReplica = 1000;
constexpr placement::Micros kWantedAtAnyPrice = placement::kPriceMax;
constexpr std::int64_t kContextMost = 1 << 24;

/// The layout with the fewest accelerators that holds it; among equals the one with most room for sequences.
Result<Fit> cheapest_fit(const CatalogueModel& model, const CatalogueVariant& variant, const PlannedPool& pool,
                         const PlanRequest& request) {
  FitOptions options;
  options.kv = variant.kv;
  options.context = request.context;
  if (!model.shape || !variant.weights)
    return fit_variant(model, variant, {}, pool.accelerator, options);  // says what is not known
  const std::vector<Layout> layouts = variant.layouts.empty() ? candidate_layouts(*model.shape) : variant.layouts;
  std::optional<Fit> best;
  std::optional<Error> nearest;  // why the largest one does not fit
  for (const Layout& layout : layouts) {
    const Result<Fit> found = fit_variant(model, variant, layout, pool.accelerator, options);
    if (!found) {
      nearest = found.error();
      continue;
    }
    const bool is_better =
        !best || found->ranks < best->ranks || (found->ranks == best->ranks && found->kv_tokens > best->kv_tokens);
    if (is_better) best = *found;
  }
  if (best) return *best;
  if (nearest) return fail(*nearest);
  return fail(Code::kFailedPrecondition, "does_not_fit",
              fmt::format("'{}' {} is offered in no layout", model.name, variant.name));
}

/// Whether there is room for all replicas, and why not.
Status check_room(const PlannedPool& pool, const CatalogueVariant& variant, const Fit& fit,
                  const PlanRequest& request) {
  placement::Problem problem;
  placement::Pool place;
  place.name = pool.name;
  place.region = pool.region;
  place.kind = pool.accelerator.name;
  place.gpus_per_node = pool.per_node;
  place.price_per_gpu_hour = pool.price_micros_per_hour;
  place.load_bytes_per_s = std::max<std::int64_t>(pool.load_bytes_per_s, 1);  // only room is asked for
  place.nodes = pool.nodes;
  problem.pools.push_back(std::move(place));
  placement::Layout layout;
  layout.variant = variant.name;
  layout.kind = pool.accelerator.name;
  layout.name = fit.layout.to_string();
  layout.nodes = (fit.ranks + pool.per_node - 1) / pool.per_node;
  layout.gpus = (fit.ranks + layout.nodes - 1) / layout.nodes * layout.nodes;
  layout.throughput = kUnitsOfReplica;
  problem.layouts.push_back(std::move(layout));
  placement::Demand demand;
  demand.name = "planned";
  demand.variant = variant.name;
  demand.regions = {pool.region};
  demand.throughput = kUnitsOfReplica * request.replicas;
  demand.replicas_min = request.replicas;
  demand.unserved_per_unit_hour = kWantedAtAnyPrice;
  problem.demands.push_back(std::move(demand));
  placement::Budget budget;
  budget.iterations_max = kPlaceRounds;
  TG_ASSIGN(const placement::Plan plan, placement::place(problem, budget));
  const placement::DemandPlan& outcome = plan.demands.front();
  if (outcome.outcome == placement::Outcome::kServed) return {};
  return fail(Code::kResourceExhausted, "no_room",
              outcome.nearest.empty() ? outcome.why : fmt::format("{} Nearest: {}", outcome.why, outcome.nearest));
}

void add_measured(PlanOption& option, const CatalogueModel& model, const CatalogueVariant& variant,
                  const MeasuredSpeeds& measured) {
  const auto found = measured.find(SpeedKey(model.name, variant.name, option.region, option.pool));
  if (found == measured.end()) return;
  const MeasuredSpeed& seen = found->second;
  if (seen.decode_tokens_per_s > 0) {
    option.prefill_tokens_per_s = seen.prefill_tokens_per_s;
    option.decode_tokens_per_s = seen.decode_tokens_per_s;
    option.decode_tokens_per_s_each = 0;  // nobody measured one alone
    option.speed_from = "measured";
  }
  if (seen.load_ms > 0) {
    option.ready_s = (seen.load_ms + 999) / 1000;
    option.ready_from = "measured";
  }
}

Status check_range(std::int64_t value, std::int64_t least, std::int64_t most, const char* field) {
  if (value >= least && value <= most) return {};
  return fail(Code::kInvalidArgument, "out_of_range",
              fmt::format("{} must be {} to {}, not {}", field, least, most, value), field);
}

}  // namespace

Result<PlanOption> DeploymentPlanner::local_option(const PlannedPool& pool, const CatalogueModel& model,
                                                   const CatalogueVariant& variant, const PlanRequest& request) const {
  Deployment deployment;
  deployment.name = "planned";
  deployment.model = model.name;
  deployment.variant = variant.name;
  deployment.region = pool.region;
  deployment.pool = pool.name;
  deployment.replicas = request.replicas;
  deployment.sequences_max = request.sequences_max;
  TG_TRY(check_deployment(deployment, catalogue_));
  const std::int64_t sequences = request.sequences_max > 0 ? request.sequences_max : kLocalSequences;
  PlanOption option;
  option.layout = pool.is_pod ? "pod" : "process";
  option.accelerators = 1;
  option.context_max = model.context_max;
  option.concurrency = sequences * request.replicas;
  option.weights_bytes = variant.weight_bytes;
  option.can_deploy = true;
  const std::int64_t kv_tokens = predicted_kv_tokens(deployment, catalogue_);
  if (kv_tokens > 0) {
    option.context_max = std::min(option.context_max, kv_tokens);
    const std::int64_t each = request.context > 0 ? request.context : option.context_max;
    option.concurrency = std::min(sequences, kv_tokens / std::max<std::int64_t>(each, 1)) * request.replicas;
    option.kv_tokens = kv_tokens * request.replicas;
  }
  if (request.context > option.context_max) {
    return fail(Code::kFailedPrecondition, "context_too_long",
                fmt::format("{} tokens are asked for; '{}' {} has {} here at most", request.context, model.name,
                            variant.name, option.context_max),
                "context");
  }
  // A process shares the machine's memory with all others: only the whole of it is known. A pod has its own.
  const std::int64_t memory = pool.accelerator.memory_bytes;
  const std::int64_t sharing = pool.is_pod ? 1 : request.replicas;
  if (memory > 0 && variant.weight_bytes * sharing > memory) {
    return fail(Code::kFailedPrecondition, "does_not_fit",
                fmt::format("the weights of {} replicas are {} bytes; {} has {}", sharing, variant.weight_bytes * sharing,
                            pool.is_pod ? "a pod of this pool" : "this machine", memory),
                pool.is_pod ? "pool" : "replicas");
  }
  if (pool.price_micros_per_hour > 0) option.price_micros_per_hour = pool.price_micros_per_hour * request.replicas;
  if (pool.load_bytes_per_s > 0) {
    option.ready_s = 1 + variant.weight_bytes / pool.load_bytes_per_s;
    option.ready_from = "estimate";
  }
  return option;
}

Result<PlanOption> DeploymentPlanner::option_in(const PlannedPool& pool, const CatalogueModel& model,
                                                const CatalogueVariant& variant, const PlanRequest& request,
                                                const MeasuredSpeeds& measured) const {
  if (request.is_dedicated && pool.tenant.empty()) {
    return fail(Code::kFailedPrecondition, "pool_is_shared",
                "others use this pool; a dedicated endpoint needs one of its tenant's own", "dedicated");
  }
  PlanOption option;
  if (pool.is_local) {
    TG_ASSIGN(option, local_option(pool, model, variant, request));
  } else {
    TG_ASSIGN(const Fit fit, cheapest_fit(model, variant, pool, request));
    TG_TRY(check_room(pool, variant, fit, request));
    option.layout = fit.layout.to_string();
    option.accelerators = fit.ranks;
    option.context_max = fit.context_max;
    option.concurrency = fit.concurrency * request.replicas;
    option.kv_tokens = fit.kv_tokens * request.replicas;
    option.weights_bytes = fit.weights_bytes;
    option.price_micros_per_hour = pool.price_micros_per_hour * fit.ranks * request.replicas;
    option.notes = fit.notes;
    const auto speed = estimate_speed(*model.shape, *variant.weights, fit, pool.accelerator, request.context);
    if (speed) {
      option.prefill_tokens_per_s = speed->prefill_tokens_per_s;
      option.decode_tokens_per_s = speed->decode_tokens_per_s;
      option.decode_tokens_per_s_each = speed->decode_tokens_per_s_each;
      option.speed_from = "estimate";
    } else {
      option.notes.push_back(speed.error().message);
    }
    if (pool.load_bytes_per_s > 0) {
      option.ready_s = 1 + fit.weights_bytes / pool.load_bytes_per_s;
      option.ready_from = "estimate";
    }
    option.notes.push_back(fmt::format("served there by {}; this installation starts processes of its own engine only",
                                       fmt::join(pool.accelerator.engines, " or ")));
  }
  option.region = pool.region;
  option.pool = pool.name;
  option.accelerator = pool.accelerator.name;
  option.variant = variant.name;
  option.replicas = request.replicas;
  add_measured(option, model, variant, measured);
  if (option.price_micros_per_hour == 0) option.notes.push_back("what this pool costs is not known");
  return option;
}

Result<DeploymentPlan> DeploymentPlanner::plan(const PlanRequest& request, const MeasuredSpeeds& measured) const {
  TG_TRY(check_range(request.replicas, 1, kReplicasMax, "replicas"));
  TG_TRY(check_range(request.context, 0, kContextMost, "context"));
  TG_TRY(check_range(request.sequences_max, 0, kSequencesMax, "sequences_max"));
  TG_ASSIGN(const CatalogueModel* model, catalogue_.find_model(request.model));
  if (!request.variant.empty()) TG_TRY(find_variant(*model, request.variant));
  DeploymentPlan plan;
  plan.model = model->name;
  plan.context = request.context;
  bool is_any_pool = false;
  for (const PlannedPool& pool : pools_) {
    const bool is_meant = (request.region.empty() || pool.region == request.region) &&
                          (request.pool.empty() || pool.name == request.pool);
    if (!is_meant) continue;
    is_any_pool = true;
    for (const CatalogueVariant& variant : model->variants) {
      if (!request.variant.empty() && variant.name != request.variant && variant.precision != request.variant) continue;
      Result<PlanOption> option = option_in(pool, *model, variant, request, measured);
      if (option) {
        plan.options.push_back(*std::move(option));
      } else if (plan.refusals.size() < kPlanRefusalsMax) {
        plan.refusals.push_back({pool.region, pool.name, variant.name, option.error().reason, option.error().message});
      }
    }
  }
  if (!is_any_pool) {
    std::string known;
    for (const PlannedPool& pool : pools_) known += (known.empty() ? "" : ", ") + pool.region + "/" + pool.name;
    return fail(Code::kNotFound, "unknown_pool",
                fmt::format("there is no pool '{}/{}' here; there are {}", request.region, request.pool, known),
                request.region.empty() ? "pool" : "region");
  }
  std::stable_sort(plan.options.begin(), plan.options.end(), [](const PlanOption& a, const PlanOption& b) {
    const auto price = [](const PlanOption& one) {
      return one.price_micros_per_hour == 0 ? INT64_MAX : one.price_micros_per_hour;
    };
    if (a.can_deploy != b.can_deploy) return a.can_deploy;
    return price(a) < price(b);
  });
  if (plan.options.size() > kPlanOptionsMax) plan.options.resize(kPlanOptionsMax);
  return plan;
}

Result<PoolName> DeploymentPlanner::home_for(const HomeRequest& request) const {
  const Deployment& deployment = request.deployment;
  TG_ASSIGN(const CatalogueModel* model, catalogue_.find_model(deployment.model));
  TG_ASSIGN(const CatalogueVariant* variant, find_variant(*model, deployment.variant));
  PlanRequest wanted;
  wanted.model = deployment.model;
  wanted.variant = deployment.variant;
  wanted.replicas = request.replicas;
  wanted.sequences_max = deployment.sequences_max;
  using Rank = std::pair<std::int64_t, std::int32_t>;  // price, replicas there
  std::optional<PoolName> best;
  Rank best_rank;
  std::string against;
  for (const PlannedPool& pool : pools_) {
    const PoolName name{pool.region, pool.name};
    const auto& named = deployment.placement.pools;
    const bool is_somebodys = !pool.tenant.empty() && std::ranges::find(named, pool.name) == named.end();
    if (!pool.is_local || is_somebodys || !deployment.placement.allows(name)) continue;
    const bool is_lost = std::ranges::find(request.lost, name) != request.lost.end();
    const Result<PlanOption> option = option_in(pool, *model, *variant, wanted, {});
    if (is_lost || !option) {
      against += fmt::format("{}{}: {}", against.empty() ? "" : "; ", name.to_string(),
                             is_lost ? "lost" : option.error().message);
      continue;
    }
    const std::int64_t price = option->price_micros_per_hour;
    const auto busy = request.replicas_in.find(name);
    const Rank rank{price == 0 ? INT64_MAX : price, busy == request.replicas_in.end() ? 0 : busy->second};
    if (best && best_rank <= rank) continue;
    best = name;
    best_rank = rank;
  }
  if (best) return *best;
  return fail(Code::kFailedPrecondition, "no_pool",
              fmt::format("no pool can have '{}' ({})", deployment.name,
                          against.empty() ? "none of this installation's is in its regions and pools" : against),
              "placement");
}

}  // namespace tidegate::scheduler
