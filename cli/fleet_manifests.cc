// What the scheduler's Kubernetes driver would send to a cluster, from files alone: nothing is asked of anybody and
// nothing is changed. To be read, and to try admission policies on.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/config.h"
#include "base/json/json.h"
#include "cli/commands.h"
#include "cli/text_file.h"
#include "scheduler/drivers/kubernetes/kube_config.h"
#include "scheduler/drivers/kubernetes/objects/manifests.h"
#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"

namespace tidegate::cli {
namespace {

constexpr const char* kNoUid = "00000000-0000-0000-0000-000000000000";
constexpr auto kShownLeaseTime = std::chrono::seconds(15);

/// The lines kubernetes.* of a scheduler's configuration, but for how its API server is reached: files of that machine.
Result<scheduler::KubeConfig> kubernetes_options(const std::string& path) {
  TG_ASSIGN(const std::string text, read_text(path));
  std::string own;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // Lines keep their numbers, and blanks before a key mean nothing: as the scheduler reads the file.
    const std::string_view key = std::string_view(line).substr(std::min(line.find_first_not_of(" \t"), line.size()));
    if (key.starts_with("kubernetes.") && !key.starts_with("kubernetes.kubeconfig")) own += line;
    own += '\n';
  }
  scheduler::KubeConfig config;
  ConfigTable table("tidegate");
  scheduler::add_kube_rows(table, config);
  TG_TRY(table.parse_text(own, path));
  return config;
}

/// The first start of replica 0 of a deployment in that pool.
scheduler::kube::RunOrder order_in(const scheduler::kube::PoolShape& shape, const Arguments& arguments) {
  scheduler::kube::RunOrder order;
  order.spec.deployment = arguments.option("deployment", "example") + "-" + shape.pool;
  order.spec.replica = order.spec.deployment + "-0";
  order.spec.model = arguments.option("model", "tang-moe");
  order.spec.variant = arguments.option("variant", "fp8");
  order.spec.engine = "cpu";
  order.spec.model_path = arguments.option("models-dir", "/models") + "/" + order.spec.model;
  order.spec.region = shape.region.empty() ? arguments.option("region", "local") : shape.region;
  order.spec.pool = shape.pool;
  order.run = "t1-0-1";
  order.term = 1;
  return order;
}

void add_objects(json::array& items, const scheduler::kube::PoolShape& shape, const Arguments& arguments,
                 const scheduler::kube::KubeSettings& settings) {
  const scheduler::kube::RunOrder order = order_in(shape, arguments);
  scheduler::kube::Manifest workload = scheduler::kube::workload_manifest(order, shape, settings);
  scheduler::kube::SeenWorkload owner;
  owner.kind = shape.nodes > 1 ? scheduler::kube::WorkloadKind::kGroup : scheduler::kube::WorkloadKind::kDeployment;
  owner.name = workload.name;
  owner.uid = kNoUid;  // the cluster's to give
  owner.replica = order.spec.replica;
  owner.deployment = order.spec.deployment;
  items.push_back(std::move(workload.body));
  for (scheduler::kube::Manifest& each : scheduler::kube::shared_manifests(order.spec.deployment, {owner}, settings)) {
    items.push_back(std::move(each.body));
  }
}

Status fleet_manifests(const Arguments& arguments) {
  TG_ASSIGN(const std::string path, arguments.required_option("config"));
  TG_ASSIGN(scheduler::KubeConfig config, kubernetes_options(path));
  config.pools_file = arguments.option("pools", config.pools_file);
  config.objects.models_dir = arguments.option("models-dir", "/models");
  const bool is_tls = !config.objects.tls_secret.empty();
  TG_TRY(scheduler::check_kube_config(config, config.objects.models_dir, is_tls));
  TG_ASSIGN(const auto pools, scheduler::kube::PoolShapes::load(config.pools_file));
  const std::string wanted = arguments.option("pool");
  json::array items;
  for (const scheduler::kube::PoolShape& shape : pools.all()) {
    if (wanted.empty() || shape.pool == wanted) add_objects(items, shape, arguments, config.objects);
  }
  if (items.empty()) {
    return fail(Code::kNotFound, "unknown_pool", fmt::format("'{}' has no pool '{}'", config.pools_file, wanted),
                "pool");
  }
  const SystemClock clock;
  items.push_back(
      scheduler::kube::lease_manifest("example", 1, "", kShownLeaseTime, clock.wall(), config.objects).body);
  const json::object list = {{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
  fmt::print("{}\n", json::serialize(list));
  return {};
}

}  // namespace

std::vector<Command> fleet_manifests_commands() {
  return {
      {"fleet manifests",
       "The objects that the scheduler's Kubernetes driver would apply, one replica in each pool, as JSON.",
       "--config scheduler.conf [--pools FILE] [--pool POOL] [--deployment NAME] [--model MODEL] [--variant VARIANT] "
       "[--models-dir FOLDER] [--region REGION]",
       "  tidegate fleet manifests --config scheduler.conf --pools pools.json | kubectl apply --dry-run=server -f -\n"
       "Options and pools: docs/kubernetes.md\n",
       {"config", "pools", "pool", "deployment", "model", "variant", "models-dir", "region"},
       {},
       fleet_manifests},
  };
}

}  // namespace tidegate::cli
