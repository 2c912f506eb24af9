#include "tests/support/scheduler/place_cases.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

namespace tidegate::test {

using namespace scheduler::placement;

namespace {

constexpr std::array<const char*, 3> kKinds = {"A", "B", "C"};

std::int32_t small(Rng& rng, std::int32_t least, std::int32_t most) {
  return least + static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(most - least + 1)));
}
bool one_in(Rng& rng, std::uint64_t n) { return rng.below(n) == 0; }

void add_pools(Rng& rng, Problem& problem) {
  const std::int32_t pools = small(rng, 1, 8);
  for (std::int32_t p = 0; p < pools; ++p) {
    Pool pool;
    pool.name = fmt::format("p{}", p);
    pool.region = fmt::format("r{}", rng.below(3));
    pool.kind = kKinds[rng.below(kKinds.size())];
    pool.gpus_per_node = std::array<std::int32_t, 4>{1, 2, 4, 8}[rng.below(4)];
    pool.price_per_gpu_hour = 100'000 * small(rng, 1, 60);
    pool.load_bytes_per_s = std::int64_t{1'000'000'000} * small(rng, 1, 5);
    if (one_in(rng, 6)) pool.tenant = fmt::format("t{}", rng.below(2));
    const std::int32_t nodes = small(rng, 0, 9);
    const std::int32_t domains = small(rng, 1, 3);
    for (std::int32_t n = 0; n < nodes; ++n) {
      const std::int32_t free = one_in(rng, 4) ? small(rng, 0, pool.gpus_per_node) : pool.gpus_per_node;
      // Domains may hold nodes of several pools.
      const std::string domain = one_in(rng, 3) ? fmt::format("shared{}", rng.below(2)) : fmt::format("{}d{}", pool.name, n % domains);
      pool.nodes.push_back({fmt::format("n{}", n), domain, free});
    }
    problem.pools.push_back(std::move(pool));
  }
}

void add_layouts(Rng& rng, Problem& problem) {
  for (std::int32_t v = 0; v < 4; ++v) {
    for (const char* kind : kKinds) {
      const std::int32_t layouts = one_in(rng, 5) ? 0 : small(rng, 1, 3);
      for (std::int32_t l = 0; l < layouts; ++l) {
        Layout layout;
        layout.variant = fmt::format("v{}", v);
        layout.kind = kind;
        layout.name = fmt::format("l{}", l);
        layout.nodes = one_in(rng, 6) ? small(rng, 2, 3) : 1;
        layout.gpus = layout.nodes * std::array<std::int32_t, 6>{1, 1, 1, 2, 4, 8}[rng.below(6)];
        layout.node_gpus = one_in(rng, 4) ? 8 : 0;
        layout.throughput = 10 + static_cast<std::int64_t>(rng.below(100)) * layout.gpus;
        layout.load_bytes = static_cast<std::int64_t>(rng.below(200)) * 1'000'000'000;
        layout.warm_up_s = small(rng, 0, 120);
        problem.layouts.push_back(std::move(layout));
      }
    }
  }
}

void add_demands(Rng& rng, Problem& problem) {
  const std::int32_t demands = small(rng, 1, 8);
  for (std::int32_t d = 0; d < demands; ++d) {
    Demand demand;
    demand.name = fmt::format("d{}", d);
    demand.variant = fmt::format("v{}", rng.below(4));
    if (one_in(rng, 2)) demand.tenant = fmt::format("t{}", rng.below(2));
    demand.is_dedicated = !demand.tenant.empty() && one_in(rng, 8);
    if (one_in(rng, 2)) {
      for (int r = 0; r < 3; ++r) {
        if (!one_in(rng, 3)) demand.regions.push_back(fmt::format("r{}", r));
      }
    }
    demand.throughput = 1 + static_cast<std::int64_t>(rng.below(one_in(rng, 4) ? 20'000 : 1'500));
    demand.replicas_min = one_in(rng, 3) ? small(rng, 2, 4) : 1;
    demand.domains_min = one_in(rng, 3) ? small(rng, 2, 3) : 1;
    demand.survives_replica_loss = one_in(rng, 3);
    demand.unserved_per_unit_hour = small(rng, 0, 900) * 1'000;
    problem.demands.push_back(std::move(demand));
  }
  const std::int32_t quotas = small(rng, 0, 3);
  for (std::int32_t q = 0; q < quotas; ++q) {
    problem.quotas.push_back({fmt::format("t{}", rng.below(2)), one_in(rng, 2) ? "" : kKinds[rng.below(kKinds.size())], small(rng, 0, 40)});
  }
}

/// Replicas wherever they fit, also where they may not be: what a fleet looks like after its rules changed.
void add_current(Rng& rng, Problem& problem) {
  std::map<std::pair<std::string, std::string>, std::int32_t> free;
  for (const Pool& pool : problem.pools) {
    for (const Node& node : pool.nodes) free[{pool.name, node.name}] = node.gpus_free;
  }
  const std::int32_t wanted = small(rng, 10, 200);
  for (std::int32_t i = 0; i < wanted && !problem.layouts.empty(); ++i) {
    const Demand& demand = problem.demands[rng.below(problem.demands.size())];
    const Pool& pool = problem.pools[rng.below(problem.pools.size())];
    const Layout& layout = problem.layouts[rng.below(problem.layouts.size())];
    if (layout.variant != demand.variant || layout.kind != pool.kind) continue;
    if (layout.node_gpus != 0 && layout.node_gpus != pool.gpus_per_node) continue;
    Running running{demand.name, pool.name, layout.name, {}};
    for (const Node& node : pool.nodes) {
      if (static_cast<std::int32_t>(running.nodes.size()) == layout.nodes) break;
      if (free[{pool.name, node.name}] >= layout.gpus / layout.nodes) running.nodes.push_back(node.name);
    }
    if (static_cast<std::int32_t>(running.nodes.size()) != layout.nodes) continue;
    for (const std::string& node : running.nodes) free[{pool.name, node}] -= layout.gpus / layout.nodes;
    if (one_in(rng, 6)) running.nodes[0] = "gone";
    problem.current.push_back(std::move(running));
  }
}

}  // namespace

Problem random_place_case(Rng& rng) {
  Problem problem;
  problem.horizon_s = one_in(rng, 2) ? 3600 : 600 + static_cast<std::int64_t>(rng.below(80'000));
  problem.drain_s = static_cast<std::int64_t>(rng.below(300));
  add_pools(rng, problem);
  add_layouts(rng, problem);
  add_demands(rng, problem);
  if (one_in(rng, 2)) add_current(rng, problem);
  return problem;
}

}  // namespace tidegate::test
