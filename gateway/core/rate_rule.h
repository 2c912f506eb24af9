#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/core/ids.h"

namespace tidegate::gateway {

/// What a limit counts. Minutes and days are those of UTC.
enum class RateMeter : std::uint8_t { kRequests, kTokens, kDailyTokens, kConcurrency };
inline constexpr std::array kRateMeters = {RateMeter::kRequests, RateMeter::kTokens, RateMeter::kDailyTokens,
                                           RateMeter::kConcurrency};
/// "requests per minute", "tokens per minute", "tokens per day", "requests at once".
std::string_view rate_meter_words(RateMeter meter);

/// Whose requests a rule counts together.
enum class RateScope : std::uint8_t { kTenant, kProject, kKey };
/// "tenant" | "project" | "key".
std::string_view rate_scope_name(RateScope scope);

/// Limits that an administrator set for one subject and model. Zero means: not limited.
struct RateRule {
  Uuid id;
  TenantId tenant;
  RateScope scope = RateScope::kTenant;
  Uuid subject;       ///< of the project or key; nil for the tenant
  std::string model;  ///< empty = all models counted together
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t tokens_per_day = 0;
  std::int64_t concurrency = 0;

  std::int64_t limit_of(RateMeter meter) const;
};

/// Every rule. Immutable; a change makes a new one. Lookups are three hash probes.
class RateRules {
 public:
  RateRules() = default;
  explicit RateRules(std::vector<RateRule> rules);
  // find() hands out pointers into it.
  RateRules(const RateRules&) = delete;
  RateRules& operator=(const RateRules&) = delete;

  /// Adds every rule that binds such a request: of the tenant, the project and the key, for this model and for all
  /// models together. They all bind: a narrower one does not replace a wider one. Valid as long as this object.
  void find(TenantId tenant, ProjectId project, ApiKeyId key, std::string_view model,
            std::vector<const RateRule*>& out) const;
  std::size_t size() const { return rules_.size(); }

 private:
  std::vector<RateRule> rules_;
  std::unordered_map<Uuid, std::vector<std::size_t>> of_subject_;  ///< the tenant's own under the tenant's id
};

}  // namespace tidegate::gateway
