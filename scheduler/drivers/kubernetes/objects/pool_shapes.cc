#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/json/json.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr std::int64_t kNodesMax = 64;
constexpr std::int64_t kPerNodeMax = 64;
constexpr std::int64_t kMillisMax = 1'024'000;
constexpr std::int64_t kMibMax = std::int64_t{64} << 20;
constexpr std::size_t kEntriesMax = 32;
constexpr std::size_t kTextMax = 253;

std::unexpected<Error> bad(const std::string& path, std::string_view why) {
  return fail(Code::kInvalidArgument, "bad_pools", fmt::format("pools file: {}: {}", path, why), path);
}

/// Reads the members of one object, each at most once, and complains about those nobody read.
class Members {
 public:
  Members(const json::object& from, std::string path) : from_(from), path_(std::move(path)) {}

  Status text(std::string_view key, std::string& out, bool is_required = false) {
    const json::value* found = take(key);
    if (found == nullptr) return is_required ? Status(bad(at(key), "is required")) : Status();
    if (!found->is_string() || found->get_string().size() > kTextMax) {
      return bad(at(key), fmt::format("must be a text of at most {} characters", kTextMax));
    }
    out = std::string(found->get_string());
    return is_required && out.empty() ? Status(bad(at(key), "is empty")) : Status();
  }
  Status number(std::string_view key, std::int64_t& out, std::int64_t least, std::int64_t most) {
    const json::value* found = take(key);
    if (found == nullptr) return {};
    if (!found->is_int64() || found->get_int64() < least || found->get_int64() > most) {
      return bad(at(key), fmt::format("must be a whole number from {} to {}", least, most));
    }
    out = found->get_int64();
    return {};
  }
  Result<const json::object*> table(std::string_view key) {
    const json::value* found = take(key);
    if (found == nullptr) return nullptr;
    if (!found->is_object() || found->get_object().size() > kEntriesMax) {
      return bad(at(key), fmt::format("must be an object of at most {} members", kEntriesMax));
    }
    return &found->get_object();
  }
  Result<const json::array*> list(std::string_view key, std::size_t most = kEntriesMax) {
    const json::value* found = take(key);
    if (found == nullptr) return nullptr;
    if (!found->is_array() || found->get_array().size() > most) {
      return bad(at(key), fmt::format("must be a list of at most {}", most));
    }
    return &found->get_array();
  }
  Status finish() const {
    for (const auto& member : from_) {
      if (!taken_.contains(std::string(member.key().data(), member.key().size())))
        return bad(at(std::string_view(member.key().data(), member.key().size())), "is not a member of this object");
    }
    return {};
  }
  std::string at(std::string_view key) const { return json::join_path(path_, key); }

 private:
  const json::value* take(std::string_view key) {
    taken_.insert(std::string(key));
    return from_.if_contains(key);
  }
  const json::object& from_;
  std::string path_;
  std::set<std::string> taken_;
};

Status read_texts(Members& members, std::string_view key, std::map<std::string, std::string>& out) {
  TG_ASSIGN(const json::object* table, members.table(key));
  if (table == nullptr) return {};
  for (const auto& entry : *table) {
    if (!entry.value().is_string())
      return bad(members.at(key),
                 fmt::format("'{}' must be a text", std::string_view(entry.key().data(), entry.key().size())));
    out.emplace(std::string(entry.key().data(), entry.key().size()), std::string(entry.value().get_string()));
  }
  return {};
}

Status read_extra(Members& members, std::map<std::string, std::int64_t>& out) {
  TG_ASSIGN(const json::object* table, members.table("extra_resources"));
  if (table == nullptr) return {};
  for (const auto& entry : *table) {
    const std::string name(entry.key().data(), entry.key().size());
    if (!entry.value().is_int64() || entry.value().get_int64() < 1 || entry.value().get_int64() > kPerNodeMax ||
        name.find('/') == std::string::npos) {
      return bad(members.at("extra_resources"),
                 fmt::format("'{}' must be domain/name with a number from 1 to {}", name, kPerNodeMax));
    }
    out.emplace(name, entry.value().get_int64());
  }
  return {};
}

Status read_tolerations(Members& members, std::vector<Toleration>& out) {
  TG_ASSIGN(const json::array* list, members.list("tolerations"));
  if (list == nullptr) return {};
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", members.at("tolerations"), i);
    if (!(*list)[i].is_object()) return bad(path, "must be an object");
    Members one((*list)[i].get_object(), path);
    Toleration toleration;
    TG_TRY(one.text("key", toleration.key, true));
    TG_TRY(one.text("value", toleration.value));
    TG_TRY(one.text("effect", toleration.effect));
    TG_TRY(one.finish());
    static constexpr std::array<std::string_view, 4> kEffects = {"", "NoSchedule", "PreferNoSchedule", "NoExecute"};
    if (std::find(kEffects.begin(), kEffects.end(), toleration.effect) == kEffects.end()) {
      return bad(path + ".effect", "must be NoSchedule, PreferNoSchedule or NoExecute");
    }
    out.push_back(std::move(toleration));
  }
  return {};
}

Status read_command(Members& members, std::vector<std::string>& out) {
  TG_ASSIGN(const json::array* list, members.list("peer_command", 64));
  if (list == nullptr) return {};
  for (const json::value& word : *list) {
    if (!word.is_string()) return bad(members.at("peer_command"), "must be a list of texts");
    out.emplace_back(word.get_string());
  }
  return {};
}

Status read_spread(Members& members, Spread& out) {
  std::string word = "soft";
  TG_TRY(members.text("zone_spread", word));
  if (word != "hard" && word != "soft" && word != "none")
    return bad(members.at("zone_spread"), "must be hard, soft or none");
  out = word == "hard" ? Spread::kHard : word == "soft" ? Spread::kSoft : Spread::kNone;
  return {};
}

Status check_shape(const PoolShape& shape, const std::string& path) {
  const bool is_cpu = shape.accelerator == "cpu" || shape.accelerator.starts_with("xeon");
  if (is_cpu && (shape.per_node != 0 || !shape.resource.empty()))
    return bad(path, "a cpu pool has no resource and no per_node");
  if (!is_cpu && shape.per_node == 0) return bad(path + ".per_node", "is required: accelerators of one pod");
  if (!is_cpu && shape.resource.empty()) {
    return bad(path + ".resource",
               fmt::format("is required for '{}': the extended resource its device plugin offers", shape.accelerator));
  }
  if (shape.nodes > 1 && shape.peer_command.empty()) {
    return bad(path + ".peer_command", "is required with nodes > 1: what the pods beside the leader run");
  }
  if (shape.nodes == 1 && (!shape.peer_command.empty() || !shape.exclusive_topology.empty())) {
    return bad(path, "peer_command and exclusive_topology are for nodes > 1");
  }
  if (shape.cpu_millis == 0 || shape.memory_mib == 0) {
    return bad(path, "cpu_millis and memory_mib are required: without limits one replica starves its neighbours");
  }
  if (shape.shm_mib >= shape.memory_mib) return bad(path + ".shm_mib", "is memory: it must be less than memory_mib");
  return {};
}

Result<PoolShape> read_shape(const json::value& from, const std::string& path) {
  if (!from.is_object()) return bad(path, "must be an object");
  Members members(from.get_object(), path);
  PoolShape shape;
  TG_TRY(members.text("pool", shape.pool, true));
  TG_TRY(members.text("region", shape.region));
  TG_TRY(members.text("accelerator", shape.accelerator, true));
  TG_TRY(members.text("resource", shape.resource));
  TG_TRY(members.number("per_node", shape.per_node, 0, kPerNodeMax));
  TG_TRY(members.number("nodes", shape.nodes, 1, kNodesMax));
  TG_TRY(members.number("cpu_millis", shape.cpu_millis, 1, kMillisMax));
  TG_TRY(members.number("memory_mib", shape.memory_mib, 1, kMibMax));
  TG_TRY(members.number("shm_mib", shape.shm_mib, 0, kMibMax));
  TG_TRY(members.number("scratch_mib", shape.scratch_mib, 64, kMibMax));
  TG_TRY(members.text("priority_class", shape.priority_class));
  TG_TRY(members.text("runtime_class", shape.runtime_class));
  TG_TRY(members.text("image", shape.image));
  TG_TRY(members.text("exclusive_topology", shape.exclusive_topology));
  TG_TRY(read_texts(members, "node_selector", shape.node_selector));
  TG_TRY(read_texts(members, "environment", shape.environment));
  TG_TRY(read_extra(members, shape.extra_resources));
  TG_TRY(read_tolerations(members, shape.tolerations));
  TG_TRY(read_command(members, shape.peer_command));
  TG_TRY(read_spread(members, shape.zone_spread));
  TG_TRY(members.finish());
  if (shape.resource.empty()) shape.resource = usual_resource(shape.accelerator);
  TG_TRY(check_shape(shape, path));
  return shape;
}

}  // namespace

std::string_view usual_resource(std::string_view accelerator) {
  struct Vendor {
    std::string_view prefix;
    std::string_view resource;
  };
  // By the names of models/accelerators. The others' plugins come under several names.
  static constexpr std::array<Vendor, 13> kVendors = {{{"h100", "nvidia.com/gpu"},
                                                       {"h800", "nvidia.com/gpu"},
                                                       {"h200", "nvidia.com/gpu"},
                                                       {"h20-", "nvidia.com/gpu"},
                                                       {"a100", "nvidia.com/gpu"},
                                                       {"a800", "nvidia.com/gpu"},
                                                       {"l40", "nvidia.com/gpu"},
                                                       {"l20", "nvidia.com/gpu"},
                                                       {"l4", "nvidia.com/gpu"},
                                                       {"a10", "nvidia.com/gpu"},
                                                       {"mi300", "amd.com/gpu"},
                                                       {"gaudi", "habana.ai/gaudi"},
                                                       {"ascend-910b", "huawei.com/Ascend910"}}};
  for (const Vendor& vendor : kVendors) {
    if (accelerator.starts_with(vendor.prefix)) return vendor.resource;
  }
  return {};
}

Result<PoolShapes> PoolShapes::parse(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object()) return bad("", "must be an object with a member 'pools'");
  Members members(document.get_object(), "");
  TG_ASSIGN(const json::array* list, members.list("pools", kPoolsMax));
  if (list == nullptr || list->empty()) return bad("pools", "is required: at least one pool");
  TG_TRY(members.finish());
  PoolShapes shapes;
  std::set<std::pair<std::string, std::string>> known;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("pools[{}]", i);
    TG_ASSIGN(PoolShape shape, read_shape((*list)[i], path));
    if (!known.emplace(shape.pool, shape.region).second) {
      return bad(path, fmt::format("pool '{}' of region '{}' is there twice", shape.pool, shape.region));
    }
    shapes.shapes_.push_back(std::move(shape));
  }
  return shapes;
}

Result<PoolShapes> PoolShapes::load(const std::string& path) {
  // The file's own words about its place; parse() has those about its content.
  TG_ASSIGN(const json::value document, json::parse_file(path));
  return parse(json::serialize(document));
}

Result<const PoolShape*> PoolShapes::find(std::string_view pool, std::string_view region) const {
  const PoolShape* anywhere = nullptr;
  for (const PoolShape& shape : shapes_) {
    if (shape.pool != pool) continue;
    if (shape.region == region) return &shape;
    if (shape.region.empty()) anywhere = &shape;
  }
  if (anywhere != nullptr) return anywhere;
  return fail(Code::kFailedPrecondition, "unknown_pool",
              fmt::format("kubernetes.pools_file says nothing of pool '{}' in region '{}': add it there", pool, region),
              "pool");
}

}  // namespace tidegate::scheduler::kube
