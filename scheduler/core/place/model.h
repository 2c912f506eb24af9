#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

/// One layout of one demand in one pool where it is allowed. Money is over the horizon.
struct Option {
  std::int32_t pool = 0;
  std::int32_t layout = 0;
  std::int32_t gpus = 0;
  std::int32_t nodes = 0;
  std::int32_t gpus_on_node = 0;
  std::int64_t room = 0;        ///< replicas that fit at most, were nobody else there: nodes, failure domains, quotas
  std::int64_t throughput = 0;  ///< at most the demand's: more of one replica is worth no more
  Micros run = 0;
  Micros start = 0;
  Micros drain = 0;
  std::vector<std::int32_t> quotas;  ///< that count it
  std::vector<std::int32_t> olds;    ///< indices of Model::olds that run this way
};

/// What scarcity adds to the price of a GPU over the horizon. Not negative.
struct Prices {
  std::vector<Micros> pools;
  std::vector<Micros> quotas;
};

/// A replica of `current` that may stay where it is.
struct Old {
  std::int32_t need = 0;
  std::int32_t option = 0;
  std::vector<std::int32_t> nodes;  ///< node ids
};

/// A demand with all it may use, options by throughput, then by cost of running.
struct Need {
  std::int32_t index = -1;  ///< of the demand; -1: not part of the problem
  std::vector<Option> options;
  std::int64_t target = 0;
  std::int32_t count_min = 1;  ///< replicas: as asked, and one for each domain asked
  std::int32_t domains_min = 1;
  bool loses_one = false;
  Micros unserved_per_unit_hour = 0;
  Micros refusal = 0;    ///< penalty for serving nothing
  Micros drain_all = 0;  ///< of its replicas in `current` that could stay; one that may not stay, or is lost, is not a choice and not priced
};

/// A problem by index: names resolved, what is not allowed left out, costs worked out. Keeps a reference to the problem.
class Model {
 public:
  /// Fails: invalid_argument with the field; every limit of types.h is checked here.
  static Result<Model> compile(const Problem& problem);

  const Problem& problem() const { return *problem_; }
  const std::vector<Need>& needs() const { return needs_; }
  const std::vector<Old>& olds() const { return olds_; }

  std::int32_t pool_count() const { return static_cast<std::int32_t>(problem_->pools.size()); }
  std::int32_t node_count() const { return static_cast<std::int32_t>(node_pool_.size()); }
  std::int32_t first_node(std::int32_t pool) const { return first_node_[static_cast<std::size_t>(pool)]; }
  std::int32_t pool_of(std::int32_t node) const { return node_pool_[static_cast<std::size_t>(node)]; }
  std::int32_t domain_of(std::int32_t node) const { return node_domain_[static_cast<std::size_t>(node)]; }
  std::int32_t gpus_of(std::int32_t node) const { return node_gpus_[static_cast<std::size_t>(node)]; }
  const std::string& node_name(std::int32_t node) const;
  std::int64_t pool_gpus(std::int32_t pool) const { return pool_gpus_[static_cast<std::size_t>(pool)]; }
  std::int64_t gpus() const { return gpus_; }

  /// The need of one demand as if it were part of the problem; for explanations.
  Need need_of(const Demand& demand) const;

 private:
  Status index_pools();
  Status index_demands();
  Status index_current();
  Status check_money() const;
  void measure_rooms();
  std::int64_t measure_room(std::int32_t nodes, std::int32_t gpus, std::int32_t pool) const;

  const Problem* problem_ = nullptr;
  std::vector<Need> needs_;
  std::vector<Old> olds_;
  std::vector<std::int32_t> first_node_;
  std::vector<std::int32_t> node_pool_;
  std::vector<std::int32_t> node_domain_;
  std::vector<std::int32_t> node_gpus_;
  std::vector<std::int64_t> pool_gpus_;
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<std::int64_t>> rooms_;  ///< (nodes, GPUs on each): of each pool
  std::int64_t gpus_ = 0;
};

/// Whether a demand may use a pool at all: residency and dedication.
bool may_use(const Demand& demand, const Pool& pool);
/// Whether a layout is for pools like this one.
bool suits(const Layout& layout, const Pool& pool);

}  // namespace tidegate::scheduler::placement
