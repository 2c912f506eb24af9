#include "scheduler/core/place/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace tidegate::scheduler::placement {

namespace {

/// Micros; all money of a problem together is less.
constexpr Micros kDearerThanAnything = 500'000'000'000'000'000;

std::string money(Micros micros) { return fmt::format("{}.{:02}", micros / 1'000'000, micros % 1'000'000 / 10'000); }

const Pool& pool_of(const Model& model, const Option& option) { return model.problem().pools[at(option.pool)]; }

std::string where(const Model& model, const Need& need, const std::map<std::int32_t, std::int64_t>& counts) {
  std::string text;
  for (const auto& [index, count] : counts) {
    const Option& option = need.options[at(index)];
    const std::string& layout = model.problem().layouts[at(option.layout)].name;
    text += fmt::format("{}{} x {} in {}", text.empty() ? "" : ", ", count, layout, pool_of(model, option).name);
  }
  return text;
}

/// Of running, for the same throughput.
bool is_cheaper(const Option& a, const Option& b) {
  return static_cast<__int128>(a.run) * b.throughput < static_cast<__int128>(b.run) * a.throughput;
}

std::string explain_choice(const Model& model, const Draft& draft, const Prices& prices, std::int32_t demand) {
  const Need& need = model.needs()[at(demand)];
  std::map<std::int32_t, std::int64_t> counts;
  std::int64_t kept = 0;
  const Option* dearest = nullptr;
  for (const Placed& placed : draft.needs()[at(demand)].replicas) {
    ++counts[placed.option];
    kept += placed.old >= 0 ? 1 : 0;
    const Option& option = need.options[at(placed.option)];
    if (dearest == nullptr || is_cheaper(*dearest, option)) dearest = &option;
  }
  std::string text = where(model, need, counts);
  if (kept > 0) text += fmt::format("; {} stay where they run", kept);
  const Option* cheapest = dearest;
  for (const Option& option : need.options) {
    if (is_cheaper(option, *cheapest)) cheapest = &option;
  }
  if (cheapest == dearest) return text + "; no allowed pool costs less for this throughput.";
  const Pool& pool = pool_of(model, *cheapest);
  const Micros scarcity = prices.pools[at(cheapest->pool)];
  const std::int64_t left = draft.packing().gpus_left(cheapest->pool);
  std::string why;
  if (draft.packing().room(*cheapest, 1) == 0) {
    why = fmt::format("has no room left for it ({} GPUs free)", left);
  } else if (scarcity > 0) {
    why = fmt::format("is scarce: others would pay {} a GPU more for it", money(scarcity));
  } else {
    why = "does not pay: replicas come whole, and moves cost";
  }
  return text + fmt::format("; {} would be cheaper but {}.", pool.name, why);
}

std::string explain_no_option(const Model& model, const Demand& demand) {
  bool has_layout = false;
  bool has_pool = false;
  std::set<std::string> elsewhere;
  for (const Layout& layout : model.problem().layouts) {
    if (layout.variant != demand.variant) continue;
    has_layout = true;
    for (const Pool& pool : model.problem().pools) {
      if (!suits(layout, pool)) continue;
      has_pool = true;
      elsewhere.insert(pool.region);
    }
  }
  if (!has_layout) return fmt::format("no layout of '{}' is in the catalogue.", demand.variant);
  if (!has_pool) return fmt::format("no pool has an accelerator that '{}' has a layout for.", demand.variant);
  if (demand.is_dedicated) return fmt::format("no pool is dedicated to '{}' in {} with an accelerator for '{}'.", demand.tenant,
                                              demand.regions.empty() ? "any region" : fmt::format("{}", fmt::join(demand.regions, ", ")), demand.variant);
  return fmt::format("residency allows {}, and accelerators for '{}' are in {} only.", fmt::join(demand.regions, ", "), demand.variant,
                     fmt::join(elsewhere, ", "));
}

std::string explain_refusal(const Model& model, const Draft& draft, std::int32_t index) {
  const Demand& demand = model.problem().demands[at(index)];
  const Need& need = model.needs()[at(index)];
  if (need.options.empty()) return explain_no_option(model, demand);
  std::set<std::int32_t> domains;
  std::int64_t room = 0;
  std::int32_t least = need.options.front().gpus;
  std::int32_t tight_quota = -1;
  for (const Option& option : need.options) {
    least = std::min(least, option.gpus);
    const Pool& pool = pool_of(model, option);
    for (std::size_t n = 0; n < pool.nodes.size(); ++n) domains.insert(model.domain_of(model.first_node(option.pool) + static_cast<std::int32_t>(n)));
    for (const std::int32_t quota : option.quotas) {
      if (draft.quota_left(quota) < option.gpus * need.count_min) tight_quota = quota;
    }
    room += draft.packing().room(option, need.count_min);
  }
  if (static_cast<std::int64_t>(domains.size()) < need.domains_min) {
    return fmt::format("it asks for {} failure domains, and the pools it may use have {}.", need.domains_min, domains.size());
  }
  if (tight_quota >= 0) {
    return fmt::format("the quota of '{}' leaves {} GPUs, and {} replicas of at least {} are asked.", demand.tenant, draft.quota_left(tight_quota),
                       need.count_min, least);
  }
  if (room < need.count_min) {
    return fmt::format("there is room for {} of the {} replicas asked, of at least {} GPUs each; others pay more for the rest.", room, need.count_min, least);
  }
  return fmt::format("serving it costs more than the penalty of {} for not serving it, or takes GPUs from those who pay more.", money(need.refusal));
}

}  // namespace

std::string explain(const Model& model, const Draft& draft, const Prices& prices, std::int32_t demand) {
  if (draft.needs()[at(demand)].replicas.empty()) return explain_refusal(model, draft, demand);
  std::string text = explain_choice(model, draft, prices, demand);
  if (draft.is_served(demand)) return text;
  const std::int64_t missing = model.needs()[at(demand)].target - draft.throughput(demand);
  return text + fmt::format(" {} tokens/s are missing: no room that costs less than their penalty.", missing);
}

std::string nearest_plan(const Model& model, Draft& draft, std::int32_t index) {
  const Demand& asked = model.problem().demands[at(index)];
  const bool has_some = !draft.needs()[at(index)].replicas.empty();
  const auto fits = [&](const Demand& demand, bool without_quota, std::int64_t least, std::string_view change) -> std::string {
    Need need = model.need_of(demand);
    // However dear: the question is what fits.
    need.refusal = kDearerThanAnything;
    need.unserved_per_unit_hour = static_cast<Micros>(static_cast<__int128>(kDearerThanAnything) * 3600 / demand.throughput / model.problem().horizon_s);
    if (without_quota) {
      for (Option& option : need.options) option.quotas.clear();
    }
    std::int64_t throughput = 0;
    const auto counts = draft.probe(need, throughput);
    if (counts.empty() || throughput < least) return {};
    std::map<std::int32_t, std::int64_t> chosen;
    Micros run = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      chosen.emplace(static_cast<std::int32_t>(i), counts[i]);
      run += counts[i] * need.options[i].gpus * pool_of(model, need.options[i]).price_per_gpu_hour;
    }
    return fmt::format("{}: {} tokens/s with {}, {} an hour", change, throughput, where(model, need, chosen), money(run));
  };
  if (!has_some) {
    if (auto text = fits(asked, false, 1, "as asked, at a price above the penalty or with less throughput"); !text.empty()) return text;
  }
  // A short one keeps what it has; the relaxed plan is for all of it, beside that.
  const std::int64_t least = has_some ? asked.throughput : 1;
  Demand changed = asked;
  changed.survives_replica_loss = false;
  if (asked.survives_replica_loss) {
    if (auto text = fits(changed, false, least, "without N+1"); !text.empty()) return text;
  }
  changed.replicas_min = 1;
  changed.domains_min = 1;
  if (asked.replicas_min > 1 || asked.domains_min > 1) {
    if (auto text = fits(changed, false, least, "with one replica in one failure domain"); !text.empty()) return text;
  }
  changed = asked;
  changed.regions.clear();
  if (!asked.regions.empty()) {
    if (auto text = fits(changed, false, least, "in any region"); !text.empty()) return text;
  }
  return fits(asked, true, least, "with a larger quota");
}

}  // namespace tidegate::scheduler::placement
