#pragma once

#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

inline Pool make_pool(std::string name, std::string region, std::string kind, std::int32_t shape, std::int32_t nodes, Micros price = 1'000'000,
                      std::int32_t nodes_a_domain = 1) {
  Pool pool;
  pool.name = std::move(name);
  pool.region = std::move(region);
  pool.kind = std::move(kind);
  pool.gpus_per_node = shape;
  pool.price_per_gpu_hour = price;
  pool.load_bytes_per_s = 1'000'000'000;
  for (std::int32_t n = 0; n < nodes; ++n) {
    pool.nodes.push_back({pool.name + "-" + std::to_string(n), pool.name + "/" + std::to_string(n / nodes_a_domain), shape});
  }
  return pool;
}

inline Layout make_layout(std::string variant, std::string kind, std::int32_t gpus, std::int64_t throughput, std::int32_t nodes = 1) {
  Layout layout;
  layout.variant = std::move(variant);
  layout.kind = std::move(kind);
  layout.name = "tp" + std::to_string(gpus);
  layout.gpus = gpus;
  layout.nodes = nodes;
  layout.throughput = throughput;
  layout.load_bytes = 20'000'000'000;
  layout.warm_up_s = 40;
  return layout;
}

inline Demand make_demand(std::string name, std::string variant, std::int64_t throughput, Micros penalty = 1'000'000) {
  Demand demand;
  demand.name = std::move(name);
  demand.variant = std::move(variant);
  demand.throughput = throughput;
  demand.unserved_per_unit_hour = penalty;
  return demand;
}

/// Rounds are counted, not timed.
inline Budget rounds(std::int64_t count) {
  Budget budget;
  budget.iterations_max = count;
  return budget;
}

/// Two regions with eight-GPU nodes, the second dearer; one variant on two or eight GPUs.
inline Problem two_regions() {
  Problem problem;
  problem.pools = {make_pool("east", "east", "H", 8, 2), make_pool("west", "west", "H", 8, 2, 2'000'000)};
  problem.layouts = {make_layout("m", "H", 2, 100), make_layout("m", "H", 8, 450)};
  problem.demands = {make_demand("chat", "m", 150)};
  return problem;
}

}  // namespace tidegate::scheduler::placement
