#include "gateway/money/rate_wire.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidegate::gateway {
namespace {

std::optional<RateScope> scope_of(v1::LimitScope scope) {
  switch (scope) {
    case v1::LIMIT_SCOPE_TENANT: return RateScope::kTenant;
    case v1::LIMIT_SCOPE_PROJECT: return RateScope::kProject;
    case v1::LIMIT_SCOPE_KEY: return RateScope::kKey;
    default: return std::nullopt;  // unspecified, or of a newer billing
  }
}

std::unexpected<Error> bad_limit(const v1::RateLimitRule& wire, std::string_view field) {
  const auto id = Uuid::from_bytes(wire.limit_id());
  return fail(Code::kInvalidArgument, "bad_limit",
              fmt::format("limit {}: '{}' cannot be read; set the limit anew, or upgrade this gateway",
                          id ? id->to_string() : "without an id", field),
              std::string(field));
}

Result<RateRule> rule_of(const v1::RateLimitRule& wire) {
  const auto id = Uuid::from_bytes(wire.limit_id());
  const auto tenant = TenantId::from_bytes(wire.tenant_id());
  const auto subject = Uuid::from_bytes(wire.subject());
  const auto scope = scope_of(wire.scope());
  if (!id) return bad_limit(wire, "limit_id");
  if (!tenant) return bad_limit(wire, "tenant_id");
  if (!subject) return bad_limit(wire, "subject");
  if (!scope) return bad_limit(wire, "scope");
  RateRule rule;
  rule.id = *id;
  rule.tenant = *tenant;
  rule.scope = *scope;
  rule.subject = *subject;
  rule.model = wire.model();
  rule.requests_per_minute = wire.requests_per_minute();
  rule.tokens_per_minute = wire.tokens_per_minute();
  rule.tokens_per_day = wire.tokens_per_day();
  rule.concurrency = wire.concurrency();
  for (const RateMeter meter : kRateMeters) {
    if (rule.limit_of(meter) < 0) return bad_limit(wire, rate_meter_words(meter));
  }
  return rule;
}

}  // namespace

Result<std::shared_ptr<const RateRules>> rate_rules_from_wire(const RateRuleMap& rules) {
  std::vector<RateRule> out;
  out.reserve(rules.size());
  for (const auto& [id, wire] : rules) {
    TG_ASSIGN(RateRule rule, rule_of(wire));
    out.push_back(std::move(rule));
  }
  return std::make_shared<const RateRules>(std::move(out));
}

}  // namespace tidegate::gateway
