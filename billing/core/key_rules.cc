#include "billing/core/key_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/ip_range.h"
#include "base/core/key_scope.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kSourcesMax = 32;
constexpr std::chrono::hours kOverlapMax{24 * 90};

void add_once(std::vector<std::string>& list, std::string text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
}

}  // namespace

Result<std::vector<std::string>> read_scopes(const std::vector<std::string>& names) {
  std::vector<KeyScope> scopes;
  for (const auto& name : names) {
    const auto scope = parse_key_scope(name);
    if (!scope) {
      return fail(
          Code::kInvalidArgument, "bad_scope",
          fmt::format("\"{}\" is no scope; there are chat, completions, embeddings, models, receipts and usage", name),
          "scopes");
    }
    if (std::ranges::find(scopes, *scope) == scopes.end()) scopes.push_back(*scope);
  }
  std::ranges::sort(scopes);
  std::vector<std::string> out;
  for (const KeyScope scope : scopes) out.emplace_back(key_scope_name(scope));
  return out;
}

Result<std::vector<std::string>> read_sources(const std::vector<std::string>& ranges) {
  if (ranges.size() > kSourcesMax) {
    return fail(Code::kInvalidArgument, "bad_ip_range", fmt::format("a key has at most {} ranges", kSourcesMax),
                "sources");
  }
  std::vector<std::string> out;
  for (const auto& text : ranges) {
    const auto range = IpRange::parse(text);
    if (!range) return fail(Code::kInvalidArgument, range.error().reason, range.error().message, "sources");
    add_once(out, range->to_string());
  }
  return out;
}

Status check_key_counts(const KeyCounts& counts, const KeyLimits& limits) {
  if (counts.alive >= limits.alive_max) {
    return fail(Code::kResourceExhausted, "too_many_keys",
                fmt::format("the tenant has {} keys, and may have {} (keys.of_tenant of billing): revoke some", counts.alive,
                            limits.alive_max),
                "tenant");
  }
  if (counts.created_day >= limits.created_day_max) {
    return fail(Code::kResourceExhausted, "too_many_keys",
                fmt::format("{} keys of the tenant were made within 24 hours, rotations included, and may be {} "
                            "(keys.created_per_day of billing): come back later",
                            counts.created_day, limits.created_day_max),
                "tenant");
  }
  return {};
}

Result<Rotation> plan_rotation(const KeyLife& old, std::chrono::microseconds overlap, const std::optional<Wall>& wanted,
                               Wall now) {
  if (old.revoked || (old.expires && *old.expires <= now)) {
    return fail(Code::kFailedPrecondition, "key_is_over", "the key is revoked or expired: make a new one instead",
                "key_id");
  }
  if (!old.replaced_by.empty()) {
    return fail(Code::kFailedPrecondition, "already_rotated",
                fmt::format("the key was rotated before, into {}: rotate that one", old.replaced_by), "key_id");
  }
  if (overlap.count() < 0 || overlap > kOverlapMax) {
    return fail(Code::kInvalidArgument, "bad_overlap", "the overlap is 0 to 90 days", "overlap_us");
  }
  if (wanted && *wanted <= now) {
    return fail(Code::kInvalidArgument, "bad_expiry", "the successor would expire in the past", "expires_us");
  }
  Rotation plan;
  plan.old_ends = now + overlap;
  if (old.expires) plan.old_ends = std::min(plan.old_ends, *old.expires);
  plan.successor_expires = wanted ? wanted : old.expires;
  return plan;
}

}  // namespace tidegate::billing
