#include "scheduler/planned_pools.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "scheduler/catalogue/accelerator_file.h"
#include "scheduler/catalogue/pool_file.h"
#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"

namespace tidegate::scheduler {

namespace {

/// As deployments are made by default.
constexpr const char* kLocalPool = "cpu";

PlannedPool this_machine(const std::string& region) {
  PlannedPool pool;
  pool.name = kLocalPool;
  pool.region = region;
  pool.is_local = true;
  pool.accelerator.name = kLocalAccelerator;
  pool.accelerator.title = "this machine's processors";
  pool.accelerator.engines = {"tidegate"};
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0) pool.accelerator.memory_bytes = std::int64_t{pages} * page;
  return pool;
}

/// A pool of the cluster whose pods have cores only: our own engine runs there.
PlannedPool pods_of(const kube::PoolShape& shape, const std::string& region) {
  PlannedPool pool;
  pool.name = shape.pool;
  pool.region = shape.region.empty() ? region : shape.region;
  pool.is_local = true;
  pool.is_pod = true;
  pool.accelerator.name = shape.accelerator;
  pool.accelerator.title = "cores of a pod";
  pool.accelerator.engines = {"tidegate"};
  pool.accelerator.memory_bytes = shape.memory_mib << 20;
  return pool;
}

/// Where this installation starts replicas by itself.
Result<std::vector<PlannedPool>> own_pools(const SchedulerConfig& config) {
  std::vector<PlannedPool> own;
  if (config.driver != "kubernetes") {
    own.push_back(this_machine(config.region));
    return own;
  }
  TG_ASSIGN(const kube::PoolShapes shapes, kube::PoolShapes::load(config.kube.pools_file));
  for (const kube::PoolShape& shape : shapes.all()) {
    if (shape.per_node > 0 || shape.nodes > 1) continue;
    const PlannedPool pods = pods_of(shape, config.region);
    // One without a region does not serve where another of its name has this region for its own.
    const auto serving = shapes.find(pods.name, pods.region);
    if (serving && *serving == &shape) own.push_back(pods);
  }
  return own;
}

/// What pools.file says of one of our own pools keeps its price and pace; what it is made of is known here.
Status join_own(PlannedPool& told, std::vector<PlannedPool>& own, bool is_kubernetes) {
  const auto same = std::find_if(own.begin(), own.end(), [&told](const PlannedPool& one) {
    return one.region == told.region && one.name == told.name;
  });
  if (same != own.end()) {
    told.accelerator = same->accelerator;
    told.is_pod = same->is_pod;
    own.erase(same);
    return {};
  }
  if (is_kubernetes) {
    return fail(Code::kInvalidArgument, "unknown_pool",
                "pools.file has '" + told.region + "/" + told.name +
                    "' as a pool of this installation; with driver = kubernetes it must be one without accelerators in "
                    "kubernetes.pools_file",
                "pools.file");
  }
  told.accelerator = this_machine(told.region).accelerator;
  return {};
}

}  // namespace

Result<std::vector<PlannedPool>> planned_pools(const SchedulerConfig& config) {
  std::vector<PlannedPool> pools;
  TG_ASSIGN(std::vector<PlannedPool> own, own_pools(config));
  if (!config.pools_file.empty()) {
    TG_ASSIGN(const AcceleratorTable accelerators, load_accelerators(config.accelerators_dir));
    std::ifstream in(config.pools_file, std::ios::binary);
    if (!in) {
      return fail(Code::kNotFound, "file_unreadable", "cannot read pools.file '" + config.pools_file + "'",
                  "pools.file");
    }
    std::ostringstream text;
    text << in.rdbuf();
    TG_ASSIGN(pools, read_pools(text.str(), accelerators));
  }
  for (PlannedPool& pool : pools) {
    if (pool.is_local) TG_TRY(join_own(pool, own, config.driver == "kubernetes"));
  }
  pools.insert(pools.begin(), own.begin(), own.end());
  return pools;
}

}  // namespace tidegate::scheduler
