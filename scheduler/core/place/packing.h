#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/core/place/model.h"

namespace tidegate::scheduler::placement {

/// The nodes of a replica: mostly one, and copied often.
class NodeList {
 public:
  NodeList() = default;
  NodeList(const std::vector<std::int32_t>& nodes) : size_(nodes.size()) {  // NOLINT: a list of nodes is one
    if (size_ > kFew) many_.assign(nodes.begin(), nodes.end());
    else std::copy(nodes.begin(), nodes.end(), few_);
  }
  operator std::span<const std::int32_t>() const { return list(); }  // NOLINT
  std::span<const std::int32_t> list() const { return {size_ > kFew ? many_.data() : few_, size_}; }

 private:
  static constexpr std::size_t kFew = 4;
  std::size_t size_ = 0;
  std::int32_t few_[kFew] = {};
  std::vector<std::int32_t> many_;
};

/// Which GPUs of which nodes are free. Nodes of a pool are kept by (domain, free GPUs), so that the fullest node with
/// room is found without a search: best fit keeps whole nodes whole for those that need them.
class Packing {
 public:
  explicit Packing(const Model& model);

  /// How many replicas of this option fit, counted up to `enough`.
  std::int64_t room(const Option& option, std::int64_t enough) const;
  /// Nodes for one replica into `nodes`. `used`: domains the demand has already (may be empty); with `only_new` none of
  /// them will do. False: no room, nothing changed.
  bool take(const Option& option, std::span<const std::int32_t> used, bool only_new, std::vector<std::int32_t>& nodes);
  bool can_take(const Option& option, std::span<const std::int32_t> nodes) const;
  /// Exactly these nodes. Precondition: can_take.
  void take_these(const Option& option, std::span<const std::int32_t> nodes);
  void give_back(const Option& option, std::span<const std::int32_t> nodes);
  std::int32_t gpus_free(std::int32_t node) const { return free_[static_cast<std::size_t>(node)]; }
  std::int64_t gpus_left(std::int32_t pool) const { return left_[static_cast<std::size_t>(pool)]; }

 private:
  struct DomainSlot {
    std::int32_t domain = 0;
    std::uint64_t levels = 0;                        ///< bit f-1: some node has f GPUs free
    std::vector<std::vector<std::int32_t>> by_free;  ///< nodes
  };

  void change(std::int32_t node, std::int32_t by);

  const Model& model_;
  std::vector<std::vector<DomainSlot>> pools_;
  std::vector<std::int32_t> free_;   ///< of a node
  std::vector<std::int32_t> slot_;   ///< of a node, in its pool
  std::vector<std::int32_t> place_;  ///< of a node, in its list
  std::vector<std::int64_t> left_;   ///< GPUs of a pool
};

}  // namespace tidegate::scheduler::placement
