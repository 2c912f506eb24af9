#include "scheduler/core/place/packing.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "base/core/check.h"

namespace tidegate::scheduler::placement {

namespace {

std::uint64_t levels_from(std::int32_t gpus) { return ~std::uint64_t{0} << (gpus - 1); }

}  // namespace

Packing::Packing(const Model& model) : model_(model) {
  pools_.resize(at(model.pool_count()));
  left_.resize(pools_.size());
  free_.resize(at(model.node_count()));
  slot_.resize(free_.size());
  place_.resize(free_.size());
  std::vector<std::unordered_map<std::int32_t, std::int32_t>> slots(pools_.size());
  for (std::int32_t node = 0; node < model.node_count(); ++node) {
    const std::size_t pool = at(model.pool_of(node));
    const std::int32_t free = model.gpus_of(node);
    auto [slot, is_new] = slots[pool].try_emplace(model.domain_of(node), static_cast<std::int32_t>(pools_[pool].size()));
    if (is_new) {
      DomainSlot added;
      added.domain = model.domain_of(node);
      added.by_free.resize(at(model.problem().pools[pool].gpus_per_node) + 1);
      pools_[pool].push_back(std::move(added));
    }
    DomainSlot& into = pools_[pool][at(slot->second)];
    free_[at(node)] = free;
    slot_[at(node)] = slot->second;
    place_[at(node)] = static_cast<std::int32_t>(into.by_free[at(free)].size());
    into.by_free[at(free)].push_back(node);
    if (free > 0) into.levels |= std::uint64_t{1} << (free - 1);
    left_[pool] += free;
  }
}

std::int64_t Packing::room(const Option& option, std::int64_t enough) const {
  std::int64_t fits = 0;
  for (const DomainSlot& slot : pools_[at(option.pool)]) {
    std::int64_t here = 0;
    for (std::uint64_t levels = slot.levels & levels_from(option.gpus_on_node); levels != 0; levels &= levels - 1) {
      const int free = std::countr_zero(levels) + 1;
      const auto nodes = static_cast<std::int64_t>(slot.by_free[at(free)].size());
      here += option.nodes == 1 ? nodes * (free / option.gpus_on_node) : nodes;
    }
    fits += here / option.nodes;
    if (fits >= enough) return enough;
  }
  return fits;
}

bool Packing::take(const Option& option, std::span<const std::int32_t> used, bool only_new, std::vector<std::int32_t>& nodes) {
  nodes.clear();
  DomainSlot* best = nullptr;
  std::int64_t best_rank = 0;
  for (DomainSlot& slot : pools_[at(option.pool)]) {
    std::uint64_t levels = slot.levels & levels_from(option.gpus_on_node);
    if (levels == 0) continue;
    if (only_new && std::find(used.begin(), used.end(), slot.domain) != used.end()) continue;
    std::int64_t rank = std::countr_zero(levels);
    if (option.nodes > 1) {
      // The domain with the fewest such nodes that still suffices: whole domains stay for the larger groups.
      for (rank = 0; levels != 0; levels &= levels - 1) {
        rank += static_cast<std::int64_t>(slot.by_free[at(std::countr_zero(levels) + 1)].size());
      }
      if (rank < option.nodes) continue;
    }
    if (best == nullptr || rank < best_rank) {
      best = &slot;
      best_rank = rank;
    }
  }
  if (best == nullptr) return false;
  std::uint64_t levels = best->levels & levels_from(option.gpus_on_node);
  while (nodes.size() < at(option.nodes)) {
    const auto& list = best->by_free[at(std::countr_zero(levels) + 1)];
    for (auto node = list.rbegin(); node != list.rend() && nodes.size() < at(option.nodes); ++node) nodes.push_back(*node);
    levels &= levels - 1;
  }
  for (const std::int32_t node : nodes) change(node, -option.gpus_on_node);
  return true;
}

bool Packing::can_take(const Option& option, std::span<const std::int32_t> nodes) const {
  return std::all_of(nodes.begin(), nodes.end(), [&](std::int32_t node) { return free_[at(node)] >= option.gpus_on_node; });
}

void Packing::take_these(const Option& option, std::span<const std::int32_t> nodes) {
  for (const std::int32_t node : nodes) change(node, -option.gpus_on_node);
}

void Packing::give_back(const Option& option, std::span<const std::int32_t> nodes) {
  for (const std::int32_t node : nodes) change(node, option.gpus_on_node);
}

void Packing::change(std::int32_t node, std::int32_t by) {
  const std::size_t pool = at(model_.pool_of(node));
  DomainSlot& slot = pools_[pool][at(slot_[at(node)])];
  const std::int32_t before = free_[at(node)];
  const std::int32_t after = before + by;
  TG_CHECK(after >= 0 && after <= model_.gpus_of(node));
  auto& from = slot.by_free[at(before)];
  from[at(place_[at(node)])] = from.back();
  place_[at(from.back())] = place_[at(node)];
  from.pop_back();
  if (from.empty() && before > 0) slot.levels &= ~(std::uint64_t{1} << (before - 1));
  auto& to = slot.by_free[at(after)];
  place_[at(node)] = static_cast<std::int32_t>(to.size());
  to.push_back(node);
  if (after > 0) slot.levels |= std::uint64_t{1} << (after - 1);
  free_[at(node)] = after;
  left_[pool] += by;
}

}  // namespace tidegate::scheduler::placement
