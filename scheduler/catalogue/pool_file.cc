#include "scheduler/catalogue/pool_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::array<std::string_view, 8> kPoolMembers = {
    "region", "pool", "accelerator", "tenant", "per_node", "nodes", "price_micros_per_hour", "load_mib_per_s"};

std::unexpected<Error> bad_pool(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_pools", std::move(message), std::move(field));
}

Result<std::int64_t> pool_number(const json::object& from, std::string_view key, const std::string& path,
                                 std::int64_t least, std::int64_t most, std::int64_t fallback) {
  TG_ASSIGN(const auto found, json::find_int(from, key, path));
  if (!found) return fallback;
  const std::string field = json::join_path(path, key);
  if (*found < least || *found > most) return bad_pool(fmt::format("'{}' must be {} to {}", field, least, most), field);
  return *found;
}

/// Alike and all free: for a plan, a node is room.
std::vector<placement::Node> nodes_of(const PlannedPool& pool, std::int64_t count) {
  std::vector<placement::Node> nodes;
  for (std::int64_t i = 0; i < count; ++i) {
    nodes.push_back({fmt::format("{}-{}-{}", pool.region, pool.name, i), fmt::format("{}-{}", pool.region, pool.name),
                     pool.per_node});
  }
  return nodes;
}

Status read_nodes(const json::object& from, const std::string& path, PlannedPool& pool) {
  const json::value* found = from.if_contains("nodes");
  if (found == nullptr || !found->is_array()) {
    TG_ASSIGN(const std::int64_t count, pool_number(from, "nodes", path, 1, kPlannedNodesMax, 1));
    pool.nodes = nodes_of(pool, count);
    return {};
  }
  const json::array& list = found->get_array();
  const std::string field = json::join_path(path, "nodes");
  if (std::cmp_greater(list.size(), kPlannedNodesMax))
    return bad_pool(fmt::format("'{}' has more than {} nodes", field, kPlannedNodesMax), field);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", field, i);
    if (!list[i].is_object()) return bad_pool(fmt::format("'{}' must be an object", at), at);
    const json::object& node = list[i].get_object();
    placement::Node one;
    TG_ASSIGN(one.name, json::get_string(node, "name", at));
    TG_ASSIGN(const auto domain, json::find_string(node, "domain", at));
    one.domain = domain.value_or(one.name);
    TG_ASSIGN(const std::int64_t free, pool_number(node, "free", at, 0, pool.per_node, pool.per_node));
    one.gpus_free = static_cast<std::int32_t>(free);
    pool.nodes.push_back(std::move(one));
  }
  return {};
}

Result<PlannedPool> read_pool(const json::object& from, const std::string& path, const AcceleratorTable& accelerators) {
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(kPoolMembers.begin(), kPoolMembers.end(), key) != kPoolMembers.end()) continue;
    return bad_pool(fmt::format("'{}' is not a member of a pool; known are {}", key, fmt::join(kPoolMembers, ", ")),
                    json::join_path(path, key));
  }
  PlannedPool pool;
  TG_ASSIGN(pool.region, json::get_string(from, "region", path));
  TG_ASSIGN(pool.name, json::get_string(from, "pool", path));
  TG_ASSIGN(const std::string accelerator, json::get_string(from, "accelerator", path));
  TG_ASSIGN(const auto tenant, json::find_string(from, "tenant", path));
  pool.tenant = tenant.value_or("");
  std::int64_t typical_price = 0;
  if (accelerator == kLocalAccelerator) {
    pool.is_local = true;
  } else {
    TG_ASSIGN(const AcceleratorKind* kind, accelerators.find(accelerator));
    pool.accelerator = *kind;
    typical_price = kind->price_micro_usd_per_hour;
  }
  const std::int64_t usual = std::max(pool.accelerator.per_node, 1);
  TG_ASSIGN(const std::int64_t per_node, pool_number(from, "per_node", path, 1, placement::kNodeGpusMax, usual));
  pool.per_node = static_cast<std::int32_t>(per_node);
  TG_ASSIGN(pool.price_micros_per_hour,
            pool_number(from, "price_micros_per_hour", path, 0, placement::kPriceMax, typical_price));
  TG_ASSIGN(const std::int64_t load, pool_number(from, "load_mib_per_s", path, 1, 1 << 20, 0));
  pool.load_bytes_per_s = load << 20;
  if (!pool.is_local) TG_TRY(read_nodes(from, path, pool));
  return pool;
}

}  // namespace

Result<std::vector<PlannedPool>> read_pools(std::string_view text, const AcceleratorTable& accelerators) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object()) return bad_pool("the file must be a JSON object with a list 'pools'", "pools");
  TG_ASSIGN(const json::array* list, json::get_array(document.get_object(), "pools"));
  if (list->size() > kPlannedPoolsMax)
    return bad_pool(fmt::format("'pools' must hold at most {} pools", kPlannedPoolsMax), "pools");
  std::vector<PlannedPool> pools;
  std::set<std::pair<std::string, std::string>> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("pools[{}]", i);
    if (!(*list)[i].is_object()) return bad_pool(fmt::format("'{}' must be an object", path), path);
    TG_ASSIGN(PlannedPool pool, read_pool((*list)[i].get_object(), path, accelerators));
    if (!names.emplace(pool.region, pool.name).second) {
      return fail(Code::kInvalidArgument, "duplicate_pool",
                  fmt::format("{} is there twice: {}/{}", path, pool.region, pool.name), path);
    }
    pools.push_back(std::move(pool));
  }
  return pools;
}

}  // namespace tidegate::scheduler
