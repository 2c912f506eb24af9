#include "scheduler/core/place/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace tidegate::scheduler::placement {

namespace {

std::unexpected<Error> bad(std::string reason, std::string message, std::string field) {
  return fail(Code::kInvalidArgument, std::move(reason), std::move(message), std::move(field));
}

Status check_range(std::int64_t value, std::int64_t least, std::int64_t most, std::string field) {
  if (value >= least && value <= most) return {};
  std::string message = fmt::format("{} must be {} to {}, not {}", field, least, most, value);
  return bad("out_of_range", std::move(message), std::move(field));
}

Status check_size(std::size_t size, std::size_t most, std::string field) {
  if (size <= most) return {};
  std::string message = fmt::format("{} holds {} entries, at most {}", field, size, most);
  return bad("too_many", std::move(message), std::move(field));
}

Status check_layout(const Layout& layout, const std::string& at) {
  TG_TRY(check_range(layout.nodes, 1, kReplicaNodesMax, at + ".nodes"));
  TG_TRY(check_range(layout.gpus, 1, kNodeGpusMax * kReplicaNodesMax, at + ".gpus"));
  TG_TRY(check_range(layout.node_gpus, 0, kNodeGpusMax, at + ".node_gpus"));
  TG_TRY(check_range(layout.throughput, 1, kThroughputMax, at + ".throughput"));
  TG_TRY(check_range(layout.load_bytes, 0, std::int64_t{1} << 50, at + ".load_bytes"));
  TG_TRY(check_range(layout.warm_up_s, 0, 86'400, at + ".warm_up_s"));
  if (layout.gpus % layout.nodes == 0) return {};
  return bad("uneven_layout", fmt::format("{0}.gpus = {1} must be a multiple of {0}.nodes = {2}", at, layout.gpus, layout.nodes),
             at + ".gpus");
}

Status check_demand(const Demand& demand, const std::string& at) {
  TG_TRY(check_range(demand.throughput, 1, kThroughputMax, at + ".throughput"));
  TG_TRY(check_range(demand.replicas_min, 1, kReplicasMinMax, at + ".replicas_min"));
  TG_TRY(check_range(demand.domains_min, 1, kReplicasMinMax, at + ".domains_min"));
  TG_TRY(check_range(demand.unserved_per_unit_hour, 0, kPriceMax, at + ".unserved_per_unit_hour"));
  if (!demand.is_dedicated || !demand.tenant.empty()) return {};
  return bad("no_tenant", fmt::format("{} is dedicated: name its tenant", at), at + ".tenant");
}

}  // namespace

bool may_use(const Demand& demand, const Pool& pool) {
  if (demand.is_dedicated ? pool.tenant != demand.tenant : !pool.tenant.empty() && pool.tenant != demand.tenant) return false;
  return demand.regions.empty() || std::find(demand.regions.begin(), demand.regions.end(), pool.region) != demand.regions.end();
}

bool suits(const Layout& layout, const Pool& pool) {
  return layout.kind == pool.kind && (layout.node_gpus == 0 || layout.node_gpus == pool.gpus_per_node) &&
         layout.gpus / layout.nodes <= pool.gpus_per_node;
}

Result<Model> Model::compile(const Problem& problem) {
  Model model;
  model.problem_ = &problem;
  TG_TRY(check_size(problem.pools.size(), kPoolsMax, "pools"));
  TG_TRY(check_size(problem.layouts.size(), kLayoutsMax, "layouts"));
  TG_TRY(check_size(problem.demands.size(), kDemandsMax, "demands"));
  TG_TRY(check_range(problem.horizon_s, 60, kHorizonMax, "horizon_s"));
  // With a drain dearer than a whole horizon it would pay to keep what nobody wants.
  TG_TRY(check_range(problem.drain_s, 0, problem.horizon_s, "drain_s"));
  TG_TRY(model.index_pools());
  TG_TRY(model.index_demands());
  TG_TRY(model.check_money());
  TG_TRY(model.index_current());
  return model;
}

Status Model::index_pools() {
  std::unordered_map<std::string_view, std::int32_t> domains;
  std::set<std::string_view> names;
  for (std::size_t p = 0; p < problem_->pools.size(); ++p) {
    const Pool& pool = problem_->pools[p];
    const std::string at = fmt::format("pools[{}]", p);
    if (!names.insert(pool.name).second) return bad("duplicate_pool", fmt::format("pool '{}' is there twice", pool.name), at + ".name");
    TG_TRY(check_range(pool.gpus_per_node, 1, kNodeGpusMax, at + ".gpus_per_node"));
    TG_TRY(check_range(pool.price_per_gpu_hour, 0, kPriceMax, at + ".price_per_gpu_hour"));
    TG_TRY(check_range(pool.load_bytes_per_s, 1, std::int64_t{1} << 50, at + ".load_bytes_per_s"));
    first_node_.push_back(node_count());
    TG_TRY(check_size(node_pool_.size() + pool.nodes.size(), kNodesMax, "nodes"));
    std::int64_t gpus = 0;
    for (std::size_t n = 0; n < pool.nodes.size(); ++n) {
      const Node& node = pool.nodes[n];
      TG_TRY(check_range(node.gpus_free, 0, pool.gpus_per_node, fmt::format("{}.nodes[{}].gpus_free", at, n)));
      const auto domain = domains.try_emplace(node.domain, static_cast<std::int32_t>(domains.size())).first;
      node_pool_.push_back(static_cast<std::int32_t>(p));
      node_domain_.push_back(domain->second);
      node_gpus_.push_back(node.gpus_free);
      gpus += node.gpus_free;
    }
    pool_gpus_.push_back(gpus);
    gpus_ += gpus;
  }
  return {};
}

/// Replicas that fit into an empty pool. Those of several nodes take distinct nodes of one domain, the same from each:
/// k replicas of n nodes fit a domain exactly when the nodes' places, k at most of each, are n * k.
std::int64_t Model::measure_room(std::int32_t nodes, std::int32_t gpus, std::int32_t pool) const {
  const std::int32_t end = first_node(pool) + static_cast<std::int32_t>(problem_->pools[static_cast<std::size_t>(pool)].nodes.size());
  if (nodes == 1) {
    std::int64_t room = 0;
    for (std::int32_t node = first_node(pool); node < end; ++node) room += gpus_of(node) / gpus;
    return room;
  }
  std::unordered_map<std::int32_t, std::vector<std::int32_t>> places;
  for (std::int32_t node = first_node(pool); node < end; ++node) {
    if (gpus_of(node) >= gpus) places[domain_of(node)].push_back(gpus_of(node) / gpus);
  }
  std::int64_t room = 0;
  for (const auto& [domain, of_nodes] : places) {
    std::int64_t fits = 0;
    for (bool is_more = true; is_more; fits += is_more ? 1 : 0) {
      std::int64_t sum = 0;
      for (const std::int32_t each : of_nodes) sum += std::min<std::int64_t>(each, fits + 1);
      is_more = sum >= (fits + 1) * nodes;
    }
    room += fits;
  }
  return room;
}

void Model::measure_rooms() {
  for (const Layout& layout : problem_->layouts) {
    const std::int32_t gpus = layout.gpus / layout.nodes;
    const auto [rooms, is_new] = rooms_.try_emplace({layout.nodes, gpus});
    for (std::int32_t pool = 0; is_new && pool < pool_count(); ++pool) rooms->second.push_back(measure_room(layout.nodes, gpus, pool));
  }
}

Need Model::need_of(const Demand& demand) const {
  Need need;
  need.target = demand.throughput;
  need.domains_min = demand.domains_min;
  need.count_min = std::max(demand.replicas_min, demand.domains_min);
  need.loses_one = demand.survives_replica_loss;
  need.unserved_per_unit_hour = demand.unserved_per_unit_hour;
  need.refusal = unserved_cost(demand.throughput, demand.unserved_per_unit_hour, problem_->horizon_s);
  for (std::size_t l = 0; l < problem_->layouts.size(); ++l) {
    const Layout& layout = problem_->layouts[l];
    if (layout.variant != demand.variant) continue;
    const auto rooms = rooms_.find({layout.nodes, layout.gpus / layout.nodes});
    for (std::size_t p = 0; p < problem_->pools.size(); ++p) {
      const Pool& pool = problem_->pools[p];
      if (!suits(layout, pool) || !may_use(demand, pool)) continue;
      Option option;
      option.pool = static_cast<std::int32_t>(p);
      option.layout = static_cast<std::int32_t>(l);
      option.gpus = layout.gpus;
      option.nodes = layout.nodes;
      option.gpus_on_node = layout.gpus / layout.nodes;
      option.room = rooms->second[p];
      option.throughput = std::min(layout.throughput, demand.throughput);
      option.run = gpu_cost(layout.gpus, pool.price_per_gpu_hour, problem_->horizon_s);
      option.start = gpu_cost(layout.gpus, pool.price_per_gpu_hour, startup_s(layout, pool));
      option.drain = gpu_cost(layout.gpus, pool.price_per_gpu_hour, problem_->drain_s);
      for (std::size_t q = 0; q < problem_->quotas.size(); ++q) {
        const Quota& quota = problem_->quotas[q];
        const bool counts = quota.tenant == demand.tenant && (quota.kind.empty() || quota.kind == pool.kind);
        if (!counts) continue;
        option.quotas.push_back(static_cast<std::int32_t>(q));
        option.room = std::min(option.room, quota.gpus_max / layout.gpus);
      }
      need.options.push_back(std::move(option));
    }
  }
  std::stable_sort(need.options.begin(), need.options.end(), [](const Option& a, const Option& b) {
    return a.throughput != b.throughput ? a.throughput < b.throughput : a.run < b.run;
  });
  return need;
}

Status Model::index_demands() {
  std::set<std::tuple<std::string_view, std::string_view, std::int32_t, std::string_view>> rows;
  for (std::size_t l = 0; l < problem_->layouts.size(); ++l) {
    const Layout& layout = problem_->layouts[l];
    const std::string at = fmt::format("layouts[{}]", l);
    TG_TRY(check_layout(layout, at));
    if (!rows.emplace(layout.variant, layout.kind, layout.node_gpus, layout.name).second) {
      return bad("duplicate_layout", fmt::format("{}: layout '{}' of '{}' on {} is there twice", at, layout.name, layout.variant, layout.kind), at + ".name");
    }
  }
  for (std::size_t q = 0; q < problem_->quotas.size(); ++q) {
    TG_TRY(check_range(problem_->quotas[q].gpus_max, 0, std::int64_t{1} << 40, fmt::format("quotas[{}].gpus_max", q)));
  }
  measure_rooms();
  std::set<std::string_view> names;
  for (std::size_t d = 0; d < problem_->demands.size(); ++d) {
    const Demand& demand = problem_->demands[d];
    const std::string at = fmt::format("demands[{}]", d);
    TG_TRY(check_demand(demand, at));
    if (!names.insert(demand.name).second) return bad("duplicate_demand", fmt::format("demand '{}' is there twice", demand.name), at + ".name");
    needs_.push_back(need_of(demand));
    needs_.back().index = static_cast<std::int32_t>(d);
  }
  return {};
}

Status Model::check_money() const {
  __int128 most = 0;
  for (std::size_t p = 0; p < pool_gpus_.size(); ++p) {
    most += static_cast<__int128>(pool_gpus_[p]) * problem_->pools[p].price_per_gpu_hour * problem_->horizon_s / 3600;
  }
  for (const Demand& demand : problem_->demands) {
    most += static_cast<__int128>(demand.throughput) * demand.unserved_per_unit_hour * problem_->horizon_s / 3600;
  }
  if (most <= kMoneyMax) return {};
  return bad("too_much_money", "prices, penalties and horizon_s multiply to more than 100 billion: shorten the horizon or use a larger unit",
             "horizon_s");
}

Status Model::index_current() {
  std::unordered_map<std::string_view, std::int32_t> pools;
  for (std::int32_t p = 0; p < pool_count(); ++p) pools.emplace(problem_->pools[static_cast<std::size_t>(p)].name, p);
  std::unordered_map<std::string_view, std::int32_t> demands;
  for (std::size_t d = 0; d < needs_.size(); ++d) demands.emplace(problem_->demands[d].name, static_cast<std::int32_t>(d));
  std::map<std::int32_t, std::unordered_map<std::string_view, std::int32_t>> names;  // of nodes, of pools that are used
  std::vector<std::int32_t> left = node_gpus_;
  for (std::size_t i = 0; i < problem_->current.size(); ++i) {
    const Running& running = problem_->current[i];
    const auto pool = pools.find(running.pool);
    if (pool == pools.end()) continue;  // lost with its pool
    const Pool& its_pool = problem_->pools[static_cast<std::size_t>(pool->second)];
    auto [of_pool, is_new] = names.try_emplace(pool->second);
    if (is_new) {
      for (std::size_t n = 0; n < its_pool.nodes.size(); ++n) {
        of_pool->second.emplace(its_pool.nodes[n].name, first_node(pool->second) + static_cast<std::int32_t>(n));
      }
    }
    Old old;
    for (const std::string& name : running.nodes) {
      const auto node = of_pool->second.find(name);
      if (node != of_pool->second.end()) old.nodes.push_back(node->second);
    }
    if (old.nodes.empty() || old.nodes.size() != running.nodes.size()) continue;  // lost with a node
    const auto demand = demands.find(running.demand);
    if (demand == demands.end()) {
      // Nobody wants it any more; what it occupies is known from its variant no longer, so its drain is not priced.
      continue;
    }
    old.need = demand->second;
    Need& need = needs_[static_cast<std::size_t>(old.need)];
    const auto option = std::find_if(need.options.begin(), need.options.end(), [&](const Option& each) {
      return each.pool == pool->second && problem_->layouts[static_cast<std::size_t>(each.layout)].name == running.layout &&
             each.nodes == static_cast<std::int32_t>(old.nodes.size());
    });
    if (option == need.options.end()) continue;  // not allowed there any more: it goes, whatever that costs
    bool is_whole = true;
    for (const std::int32_t node : old.nodes) is_whole &= gpus_of(node) >= option->gpus_on_node && domain_of(node) == domain_of(old.nodes[0]);
    if (!is_whole) continue;  // the node is there without its GPUs: lost
    for (const std::int32_t node : old.nodes) {
      left[static_cast<std::size_t>(node)] -= option->gpus_on_node;
      if (left[static_cast<std::size_t>(node)] >= 0) continue;
      return bad("current_overlaps", fmt::format("current[{}]: node '{}' runs more than its gpus_free", i, node_name(node)), fmt::format("current[{}].nodes", i));
    }
    old.option = static_cast<std::int32_t>(option - need.options.begin());
    need.drain_all += option->drain;
    option->olds.push_back(static_cast<std::int32_t>(olds_.size()));
    olds_.push_back(std::move(old));
  }
  return {};
}

const std::string& Model::node_name(std::int32_t node) const {
  const std::int32_t pool = pool_of(node);
  return problem_->pools[static_cast<std::size_t>(pool)].nodes[static_cast<std::size_t>(node - first_node(pool))].name;
}

}  // namespace tidegate::scheduler::placement
