#include "gateway/money/rate_wire.h"

#include <optional>
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

std::optional<RateRule> rule_of(const v1::RateLimitRule& wire) {
  const auto id = Uuid::from_bytes(wire.limit_id());
  const auto tenant = TenantId::from_bytes(wire.tenant_id());
  const auto subject = Uuid::from_bytes(wire.subject());
  const auto scope = scope_of(wire.scope());
  if (!id || !tenant || !subject || !scope) return std::nullopt;
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
  return rule;
}

}  // namespace

std::shared_ptr<const RateRules> rate_rules_from_wire(const RateRuleMap& rules, std::size_t& bad) {
  std::vector<RateRule> out;
  out.reserve(rules.size());
  for (const auto& [id, wire] : rules) {
    if (auto rule = rule_of(wire)) {
      out.push_back(*std::move(rule));
    } else {
      ++bad;
    }
  }
  return std::make_shared<const RateRules>(std::move(out));
}

}  // namespace tidegate::gateway
