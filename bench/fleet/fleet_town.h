#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/core/place/types.h"

namespace tidegate::bench {

struct InventoryRow {
  std::string kind;
  std::int32_t gpus = 0;
  std::string node;
};

/// gpu_model,gpu_capacity_num,cpu_num,node_name with a header line; an empty list when the file cannot be read.
std::vector<InventoryRow> read_inventory(const std::string& path);
/// As many nodes of each kind as that file has, for machines without it.
std::vector<InventoryRow> made_up_inventory();

struct TownShape {
  std::int32_t regions = 10;
  std::int32_t variants = 160;
  std::int32_t nodes_a_domain = 8;
  double load = 1.0;     ///< multiplies every demand
  std::uint64_t seed = 1;
};

/// A provider: the inventory dealt to regions, variants of the sizes of the DeepSeek family with layouts on every kind
/// they fit on, Zipf demand, a quarter bound to regions, half spread over failure domains, a third N+1, tenants with
/// pools and quotas of their own. The same seed with another load gives the same town, busier.
scheduler::placement::Problem make_town(const std::vector<InventoryRow>& inventory, const TownShape& shape);

}  // namespace tidegate::bench
