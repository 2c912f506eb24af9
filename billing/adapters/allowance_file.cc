#include "billing/adapters/allowance_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json/json.h"

namespace tidegate::billing {

namespace {

constexpr std::array<std::string_view, 11> kMembers = {"name",  "kind",        "tenant",         "model",        "currency", "meters",
                                                       "tiers", "free_tokens", "effective_from", "effective_to", "note"};

std::unexpected<Error> refuse(std::string field, std::string message) {
  return fail(Code::kInvalidArgument, "bad_allowance", std::move(message), std::move(field));
}

Result<std::optional<Wall>> read_instant(const json::object& from, std::string_view key, const std::string& path) {
  TG_ASSIGN(const auto text, json::find_string(from, key, path));
  if (!text) return std::optional<Wall>();
  const std::string field = json::join_path(path, key);
  const auto at = parse_rfc3339(*text);
  if (!at) return refuse(field, fmt::format("{} is an instant as 2026-11-01T00:00:00Z, not \"{}\"", field, *text));
  return std::optional<Wall>(*at);
}

Result<std::vector<price::Meter>> read_meters(const json::object& from, const std::string& path) {
  TG_ASSIGN(const auto* list, json::get_array(from, "meters", path));
  std::vector<price::Meter> out;
  for (const auto& item : *list) {
    const auto meter = item.is_string() ? price::parse_meter(item.as_string()) : std::nullopt;
    if (!meter) {
      return refuse(path + ".meters", path + ".meters: each is input_cache_hit, input_cache_miss or output");
    }
    out.push_back(*meter);
  }
  return out;
}

Result<std::vector<QuantityTier>> read_tiers(const json::object& from, const std::string& path) {
  std::vector<QuantityTier> out;
  if (!from.contains("tiers")) return out;
  TG_ASSIGN(const auto* list, json::get_array(from, "tiers", path));
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("{}.tiers[{}]", path, i);
    if (!(*list)[i].is_object()) return refuse(where, where + " must be an object with over and rate");
    const auto& tier = (*list)[i].as_object();
    TG_ASSIGN(const auto over, json::get_int(tier, "over", where));
    TG_ASSIGN(const auto text, json::get_string(tier, "rate", where));
    const auto rate = Rate::parse(text);
    if (!rate) {
      return refuse(where + ".rate",
                    fmt::format("{}.rate: {}; rates are per 1,000,000 tokens, at most 6 decimals", where, rate.error().message));
    }
    out.push_back({over, *rate});
  }
  return out;
}

Result<AllowancePlan> read_plan(const json::object& from, const std::string& path) {
  for (const auto& [key, value] : from) {
    if (std::ranges::find(kMembers, std::string_view(key)) == kMembers.end()) {
      const std::string field = json::join_path(path, key);
      return refuse(field, field + " is not a member of an allowance");
    }
  }
  AllowancePlan plan;
  TG_ASSIGN(plan.name, json::get_string(from, "name", path));
  TG_ASSIGN(const auto kind, json::get_string(from, "kind", path));
  const auto parsed = parse_allowance_kind(kind);
  if (!parsed) {
    return refuse(path + ".kind", fmt::format("{}.kind is graduated, volume or free_quota, not \"{}\"", path, kind));
  }
  plan.kind = *parsed;
  TG_ASSIGN(const auto tenant, json::find_string(from, "tenant", path));
  plan.tenant = tenant.value_or("");
  TG_ASSIGN(const auto model, json::find_string(from, "model", path));
  plan.model = model.value_or("");
  TG_ASSIGN(plan.currency, json::get_string(from, "currency", path));
  TG_ASSIGN(plan.meters, read_meters(from, path));
  TG_ASSIGN(plan.tiers, read_tiers(from, path));
  TG_ASSIGN(const auto free_tokens, json::find_int(from, "free_tokens", path));
  plan.free_tokens = free_tokens.value_or(0);
  TG_ASSIGN(const auto begin, read_instant(from, "effective_from", path));
  if (!begin) return refuse(path + ".effective_from", path + ".effective_from is missing");
  plan.effective_from = *begin;
  TG_ASSIGN(plan.effective_to, read_instant(from, "effective_to", path));
  return plan;
}

}  // namespace

Result<std::vector<AllowancePlan>> parse_allowance_file(std::string_view text) {
  TG_ASSIGN(const auto root, json::parse(text));
  if (!root.is_object()) return refuse("", "an allowance file is a JSON object with allowances");
  TG_ASSIGN(const auto* list, json::get_array(root.as_object(), "allowances"));
  std::vector<AllowancePlan> out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("allowances[{}]", i);
    if (!(*list)[i].is_object()) return refuse(path, path + " must be an object");
    TG_ASSIGN(auto plan, read_plan((*list)[i].as_object(), path));
    out.push_back(std::move(plan));
  }
  return out;
}

}  // namespace tidegate::billing
