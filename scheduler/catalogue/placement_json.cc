#include "scheduler/catalogue/placement_json.h"

#include <fmt/format.h>

#include <utility>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

json::array names_array(const std::vector<std::string>& names) {
  json::array out;
  for (const std::string& name : names) out.emplace_back(name);
  return out;
}

Result<std::vector<std::string>> read_names(const json::object& from, std::string_view key) {
  TG_ASSIGN(const json::array* names, json::get_array(from, key, "placement"));
  std::vector<std::string> out;
  for (const json::value& name : *names) {
    if (!name.is_string()) {
      return fail(Code::kInvalidArgument, "wrong_type", "a name must be text", json::join_path("placement", key));
    }
    out.emplace_back(name.get_string().data(), name.get_string().size());
  }
  return out;
}

}  // namespace

std::string write_placement(const PlacementPolicy& policy) {
  if (!policy.is_on) return "{}";
  json::object out;
  out["regions"] = names_array(policy.regions);
  out["pools"] = names_array(policy.pools);
  out["lost_after_s"] = policy.lost_after_s;
  return json::serialize(out);
}

Result<PlacementPolicy> parse_placement(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object()) {
    return fail(Code::kInvalidArgument, "wrong_type", "placement must be a JSON object", "placement");
  }
  const json::object& from = document.get_object();
  PlacementPolicy policy;
  if (from.empty()) return policy;
  policy.is_on = true;
  TG_ASSIGN(policy.regions, read_names(from, "regions"));
  TG_ASSIGN(policy.pools, read_names(from, "pools"));
  TG_ASSIGN(const std::int64_t lost_after, json::get_int(from, "lost_after_s", "placement"));
  if (lost_after < kLostAfterLeastS || lost_after > kLostAfterMostS) {
    return fail(Code::kInvalidArgument, "bad_placement",
                fmt::format("placement.lost_after_s is out of range: {}", lost_after), "placement.lost_after_s");
  }
  policy.lost_after_s = static_cast<std::int32_t>(lost_after);
  return policy;
}

}  // namespace tidegate::scheduler
