#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

/// What a replica gets of the cluster in each pool: docs/kubernetes.md shows the file.
namespace tidegate::scheduler::kube {

struct Toleration {
  std::string key;
  std::string value;   ///< empty: whatever it is
  std::string effect;  ///< "NoSchedule" | "PreferNoSchedule" | "NoExecute" | empty: all
};

enum class Spread : std::uint8_t { kHard, kSoft, kNone };

struct PoolShape {
  std::string pool;
  std::string region;         ///< empty: in whatever region the deployment says
  std::string accelerator;    ///< as in models/accelerators; "cpu" and "xeon-amx": none beside the cores
  std::string resource;       ///< extended resource of the accelerator, e.g. "nvidia.com/gpu"; empty for cpu
  std::int64_t per_node = 0;  ///< accelerators of one pod
  std::int64_t nodes = 1;     ///< pods of one replica; more than one: a LeaderWorkerSet
  std::int64_t cpu_millis = 0;
  std::int64_t memory_mib = 0;
  std::int64_t shm_mib = 0;         ///< /dev/shm; part of the memory
  std::int64_t scratch_mib = 1024;  ///< writable disk of the container
  std::map<std::string, std::string> node_selector;
  std::vector<Toleration> tolerations;
  std::map<std::string, std::int64_t> extra_resources;  ///< e.g. "rdma/hca": 1
  std::map<std::string, std::string> environment;
  std::vector<std::string> peer_command;  ///< of the pods beside the leader; needed with nodes > 1
  std::string priority_class;
  std::string runtime_class;
  std::string image;  ///< empty: the installation's
  Spread zone_spread = Spread::kSoft;
  std::string exclusive_topology;  ///< node label of a rail or rack that one group has for itself; groups only
};

class PoolShapes {
 public:
  static constexpr std::size_t kPoolsMax = 1024;

  /// JSON text. Unknown members are errors. Fails: invalid_argument/bad_pools with the member's path.
  static Result<PoolShapes> parse(std::string_view text);
  static Result<PoolShapes> load(const std::string& path);

  /// The shape of that pool in that region; one without a region serves all that have none of their own.
  /// Fails: failed_precondition/unknown_pool.
  Result<const PoolShape*> find(std::string_view pool, std::string_view region) const;
  const std::vector<PoolShape>& all() const { return shapes_; }

 private:
  std::vector<PoolShape> shapes_;
};

/// The resource that the vendor's device plugin offers, where there is one name for it; "" for others, whose file must
/// say.
std::string_view usual_resource(std::string_view accelerator);

}  // namespace tidegate::scheduler::kube
