#include "gateway/core/rate_rule.h"

#include <utility>

namespace tidegate::gateway {

std::string_view rate_meter_words(RateMeter meter) {
  switch (meter) {
    case RateMeter::kRequests: return "requests per minute";
    case RateMeter::kTokens: return "tokens per minute";
    case RateMeter::kDailyTokens: return "tokens per day";
    case RateMeter::kConcurrency: return "requests at once";
  }
  return "";
}

std::string_view rate_scope_name(RateScope scope) {
  switch (scope) {
    case RateScope::kTenant: return "tenant";
    case RateScope::kProject: return "project";
    case RateScope::kKey: return "key";
  }
  return "";
}

std::int64_t RateRule::limit_of(RateMeter meter) const {
  switch (meter) {
    case RateMeter::kRequests: return requests_per_minute;
    case RateMeter::kTokens: return tokens_per_minute;
    case RateMeter::kDailyTokens: return tokens_per_day;
    case RateMeter::kConcurrency: return concurrency;
  }
  return 0;
}

RateRules::RateRules(std::vector<RateRule> rules) : rules_(std::move(rules)) {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const RateRule& rule = rules_[i];
    of_subject_[rule.scope == RateScope::kTenant ? rule.tenant.uuid : rule.subject].push_back(i);
  }
}

void RateRules::find(TenantId tenant, ProjectId project, ApiKeyId key, std::string_view model,
                     std::vector<const RateRule*>& out) const {
  if (rules_.empty()) return;
  const auto add = [&](const Uuid& subject, RateScope scope) {
    const auto found = of_subject_.find(subject);
    if (found == of_subject_.end()) return;
    for (const std::size_t i : found->second) {
      const RateRule& rule = rules_[i];
      const bool is_for_model = rule.model.empty() || rule.model == model;
      if (rule.scope == scope && rule.tenant == tenant && is_for_model) out.push_back(&rule);
    }
  };
  add(tenant.uuid, RateScope::kTenant);
  add(project.uuid, RateScope::kProject);
  add(key.uuid, RateScope::kKey);
}

}  // namespace tidegate::gateway
