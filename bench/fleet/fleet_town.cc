#include "bench/fleet/fleet_town.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <utility>

#include "base/core/random.h"

namespace tidegate::bench {

using namespace scheduler::placement;

namespace {

struct Kind {
  std::string_view name;
  double memory_gib;
  double speed;  ///< to an A100
  Micros price;  ///< per GPU and hour
};
// Two kinds of the inventory are nameless; their memory and speed are invented.
constexpr std::array<Kind, 6> kKinds = {{{"A10", 24, 0.35, 600'000},
                                         {"A100-SXM4-80GB", 80, 1.0, 1'800'000},
                                         {"A800-SXM4-80GB", 80, 0.95, 1'700'000},
                                         {"GPU-series-1", 48, 0.6, 1'000'000},
                                         {"GPU-series-2", 96, 1.2, 2'200'000},
                                         {"H800", 80, 2.1, 3'200'000}}};
struct Size {
  std::string_view name;
  double weights_gib;
  double active_billion;
};
constexpr std::array<Size, 14> kSizes = {{{"v3-fp8", 627, 37.6},      {"v3-int4", 325, 37.6},     {"v2-fp8", 220, 21.4},      {"v2-lite-bf16", 29.3, 2.7},
                                          {"v2-lite-fp8", 14.6, 2.7}, {"67b-bf16", 126, 67.4},    {"67b-int4", 32.6, 67.4},   {"r1-70b-fp8", 65.7, 70.6},
                                          {"r1-32b-bf16", 61, 32.8},  {"r1-32b-int4", 15.9, 32.8}, {"r1-14b-bf16", 27.5, 14.8}, {"r1-8b-bf16", 15, 8.0},
                                          {"r1-7b-fp8", 7.1, 7.6},    {"r1-1.5b-bf16", 3.3, 1.8}}};
constexpr double kUsable = 0.9;
constexpr double kRoomForKv = 1.25;
constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kTokensOfABillion = 24'000;  // tokens a second on an A100 for each billion active parameters, batched

std::vector<Layout> layouts_of(const std::string& variant, const Size& size, Rng& rng) {
  std::vector<Layout> out;
  for (const Kind& kind : kKinds) {
    int found = 0;
    const double skew = 0.85 + 0.3 * rng.unit();  // kernels of one engine are better on some kinds
    for (const std::int32_t gpus : {1, 2, 4, 8, 16, 32}) {
      if (kind.memory_gib * kUsable * gpus < size.weights_gib * kRoomForKv || found == 2) continue;
      ++found;
      for (const std::int32_t shape : {1, 4, 8}) {
        // Groups of nodes only where whole nodes of eight have a fabric between them.
        if (gpus > shape && (shape != 8 || gpus % 8 != 0)) continue;
        if (shape == 4 && kind.name != "GPU-series-1") continue;
        Layout layout;
        layout.variant = variant;
        layout.kind = std::string(kind.name);
        layout.node_gpus = shape;
        layout.nodes = gpus > shape ? gpus / shape : 1;
        layout.gpus = gpus;
        layout.name = fmt::format("tp{}", gpus);
        const double spare = 1 - size.weights_gib / (kind.memory_gib * kUsable * gpus);  // memory left makes batches larger
        const double speed = kTokensOfABillion / size.active_billion * kind.speed * skew * std::pow(gpus, 0.93) * (0.55 + 0.45 * spare);
        layout.throughput = static_cast<std::int64_t>(speed);
        layout.load_bytes = static_cast<std::int64_t>(size.weights_gib * kGib);
        layout.warm_up_s = 40 + static_cast<std::int64_t>(size.active_billion);
        out.push_back(std::move(layout));
      }
    }
  }
  return out;
}

void add_pools(const std::vector<InventoryRow>& inventory, const TownShape& shape, Rng& rng, Problem& problem) {
  std::vector<double> factor;
  for (std::int32_t r = 0; r < shape.regions; ++r) factor.push_back(0.85 + 0.4 * rng.unit());
  std::map<std::pair<std::string, std::int32_t>, std::int32_t> dealt;
  std::map<std::string, std::size_t> pools;
  for (const InventoryRow& row : inventory) {
    const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& each) { return each.name == row.kind; });
    if (kind == kKinds.end() || row.gpus < 1) continue;
    const std::int32_t region = dealt[{row.kind, row.gpus}]++ % shape.regions;
    const std::string name = fmt::format("r{}-{}-{}", region, row.kind, row.gpus);
    const auto [at, is_new] = pools.try_emplace(name, problem.pools.size());
    if (is_new) {
      Pool pool;
      pool.name = name;
      pool.region = fmt::format("r{}", region);
      pool.kind = row.kind;
      pool.gpus_per_node = row.gpus;
      pool.price_per_gpu_hour = static_cast<Micros>(static_cast<double>(kind->price) * factor[static_cast<std::size_t>(region)] * (0.95 + 0.1 * rng.unit()));
      pool.load_bytes_per_s = 2'000'000'000 + static_cast<std::int64_t>(rng.below(3'000'000'000));
      problem.pools.push_back(std::move(pool));
    }
    Pool& pool = problem.pools[at->second];
    const auto domain = static_cast<std::int32_t>(pool.nodes.size()) / shape.nodes_a_domain;
    pool.nodes.push_back({row.node, fmt::format("{}-d{}", pool.name, domain), row.gpus});
  }
  // Three of the larger ones are somebody's own.
  int owned = 0;
  for (Pool& pool : problem.pools) {
    if (owned < 3 && pool.gpus_per_node == 8 && pool.nodes.size() >= 16 && pool.region == fmt::format("r{}", owned + 1)) {
      pool.tenant = fmt::format("tenant-{}", owned++);
    }
  }
}

void add_demands(const TownShape& shape, Rng& rng, Problem& problem) {
  for (std::int32_t v = 0; v < shape.variants; ++v) {
    const Size& size = kSizes[rng.below(kSizes.size())];
    const std::string variant = fmt::format("v{:03}-{}", v, size.name);
    for (Layout& layout : layouts_of(variant, size, rng)) problem.layouts.push_back(std::move(layout));
    // Zipf in GPUs' worth, so that large models are popular as well.
    const double gpus_worth = 400.0 / std::pow(1 + static_cast<double>(rng.below(static_cast<std::uint64_t>(shape.variants))), 0.8);
    const int groups = rng.below(4) == 0 ? 2 : 1;
    for (int g = 0; g < groups; ++g) {
      Demand demand;
      demand.name = fmt::format("{}/{}", variant, g);
      demand.variant = variant;
      demand.throughput = std::max<std::int64_t>(50, static_cast<std::int64_t>(gpus_worth / groups * shape.load * kTokensOfABillion / size.active_billion * 0.8));
      if (rng.below(4) == 0 || groups == 2) {
        for (std::int32_t r = 0; r < shape.regions; ++r) {
          if (r % 2 == g && rng.below(2) == 0) demand.regions.push_back(fmt::format("r{}", r));
        }
      }
      const std::uint64_t tenant = rng.below(20);
      if (tenant < 5) demand.tenant = fmt::format("tenant-{}", tenant);
      demand.domains_min = rng.below(2) == 0 ? 2 : 1;
      demand.replicas_min = 1 + static_cast<std::int32_t>(rng.below(3) == 0);
      demand.survives_replica_loss = rng.below(3) == 0;
      // About four times what serving costs: 1.8 a GPU hour over the tokens a GPU makes.
      demand.unserved_per_unit_hour = static_cast<Micros>(4.0 * 1'800'000 * size.active_billion / kTokensOfABillion / 0.6 * (0.7 + 0.6 * rng.unit()));
      problem.demands.push_back(std::move(demand));
    }
  }
  for (int t = 0; t < 5; ++t) problem.quotas.push_back({fmt::format("tenant-{}", t), "", 400 + 200 * t});
  problem.quotas.push_back({"tenant-4", "H800", 160});
}

}  // namespace

std::vector<InventoryRow> read_inventory(const std::string& path) {
  std::ifstream in(path);
  std::vector<InventoryRow> rows;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    const auto first = line.find(',');
    const auto second = line.find(',', first + 1);
    const auto third = line.find(',', second + 1);
    if (third == std::string::npos) continue;
    rows.push_back({line.substr(0, first), std::atoi(line.substr(first + 1, second - first - 1).c_str()), line.substr(third + 1)});
  }
  return rows;
}

std::vector<InventoryRow> made_up_inventory() {
  struct Group {
    std::string_view kind;
    std::int32_t gpus;
    std::int32_t nodes;
  };
  constexpr std::array<Group, 8> kGroups = {{{"A10", 1, 2494}, {"A100-SXM4-80GB", 8, 432}, {"A800-SXM4-80GB", 8, 22}, {"GPU-series-1", 1, 902},
                                             {"GPU-series-1", 4, 10}, {"GPU-series-1", 8, 77}, {"GPU-series-2", 8, 122}, {"H800", 8, 219}}};
  std::vector<InventoryRow> rows;
  for (const Group& group : kGroups) {
    for (std::int32_t n = 0; n < group.nodes; ++n) rows.push_back({std::string(group.kind), group.gpus, fmt::format("{}", rows.size())});
  }
  return rows;
}

Problem make_town(const std::vector<InventoryRow>& inventory, const TownShape& shape) {
  Rng rng(shape.seed);
  Problem problem;
  problem.horizon_s = 6 * 3600;
  add_pools(inventory, shape, rng, problem);
  add_demands(shape, rng, problem);
  return problem;
}

}  // namespace tidegate::bench
