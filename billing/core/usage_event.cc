#include "billing/core/usage_event.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/encoding.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kEventTextMax = 256;

std::string field_of(std::size_t index, std::string_view member) { return fmt::format("events[{}].{}", index, member); }

std::unexpected<Error> refuse(std::string reason, const UsageEvent& event, std::size_t index, std::string_view member,
                              std::string_view what) {
  return fail(Code::kInvalidArgument, std::move(reason),
              fmt::format("event {} (sequence {}): {}", event.request.to_string(), event.sequence, what),
              field_of(index, member));
}

}  // namespace

std::string_view usage_status_name(UsageStatus status) {
  switch (status) {
    case UsageStatus::kCompleted: return "completed";
    case UsageStatus::kCancelled: return "cancelled";
    case UsageStatus::kInterrupted: return "interrupted";
    case UsageStatus::kFailed: return "failed";
  }
  return "";
}

std::optional<UsageStatus> parse_usage_status(std::string_view name) {
  for (const auto status :
       {UsageStatus::kCompleted, UsageStatus::kCancelled, UsageStatus::kInterrupted, UsageStatus::kFailed}) {
    if (usage_status_name(status) == name) return status;
  }
  return std::nullopt;
}

Status check_event(const UsageEvent& event, std::size_t index) {
  auto bad = [&](std::string_view member, std::string_view what) {
    return refuse("bad_event", event, index, member, what);
  };
  if (event.sequence == 0) return bad("sequence", "sequences start at 1");
  if (event.request.is_nil()) return bad("request_id", "the request id is nil");
  const std::pair<std::string_view, const std::string*> texts[] = {
      {"model", &event.model},           {"variant", &event.variant},
      {"region", &event.region},         {"pool", &event.pool},
      {"worker_id", &event.worker_id},   {"weights_digest", &event.weights_digest},
      {"band", &event.band},             {"finish_reason", &event.finish_reason},
      {"surface", &event.surface}};
  for (const auto& [member, text] : texts) {
    // PostgreSQL holds neither NUL nor broken UTF-8: refused here, by name, instead of as a database error.
    if (text->size() > kEventTextMax || text->find('\0') != text->npos || !is_valid_utf8(*text)) {
      return bad(member, fmt::format("{} must be UTF-8 of at most {} bytes without NUL", member, kEventTextMax));
    }
  }
  const auto counts = price::TokenCounts::from_usage(event.prompt_tokens, event.cached_tokens, event.completion_tokens,
                                                     event.reasoning_tokens);
  if (!counts) return bad(counts.error().field, counts.error().message);
  if (event.prompt_tokens > kTokensMax || event.completion_tokens > kTokensMax) {
    return bad("prompt_tokens", fmt::format("more than {} tokens in one request", kTokensMax));
  }
  const auto& at = event.instants;
  if (at.started < at.admitted || at.completed < at.started) {
    return bad("completed_us", "the instants must be ordered: admitted <= started <= completed");
  }
  if (event.amount.is_negative()) return bad("amount", "the amount is negative");
  if (event.lease.is_nil() && !event.amount.is_zero()) return bad("lease_id", "a charged event names its lease");
  if (event.cap_leases.size() > kCapLeasesMax) {
    return bad("cap_lease_ids", fmt::format("more than {} leases of caps in one event", kCapLeasesMax));
  }
  for (auto lease = event.cap_leases.begin(); lease != event.cap_leases.end(); ++lease) {
    if (lease->is_nil() || std::find(event.cap_leases.begin(), lease, *lease) != lease) {
      return bad("cap_lease_ids", "a lease of a cap is nil, or stands there twice");
    }
  }
  return {};
}

Result<price::RatedRequest> rate_event(const price::PriceBook& book, const UsageEvent& event, std::string_view currency,
                                       std::size_t index) {
  const auto* version = book.find(event.price_version);
  if (version == nullptr) {
    return refuse("unknown_price", event, index, "price_version", fmt::format("price version {} is not published", event.price_version));
  }
  const std::string tenant = event.tenant.to_string();
  const bool is_for_it = version->model == event.model && version->currency == currency &&
                         (version->tenant.empty() || version->tenant == tenant) &&
                         (version->region.empty() || version->region == event.region) &&
                         (version->pool.empty() || version->pool == event.pool);
  if (!is_for_it) {
    return refuse("price_mismatch", event, index, "price_version",
                  fmt::format("price version {} is for {} in {}, not for {} in {} (region {}, pool {})", version->id,
                              version->model, version->currency, event.model, currency, event.region, event.pool));
  }
  const price::TokenCounts tokens{event.cached_tokens, event.prompt_tokens - event.cached_tokens, event.completion_tokens};
  auto rated = book.rate(*version, event.instants, tokens, tenant);
  if (!rated) return refuse(rated.error().reason, event, index, "price_version", rated.error().message);
  if (rated->band != event.band || rated->total != event.amount) {
    return refuse("rating_differs", event, index, "amount",
                  fmt::format("rated {} in band {} here, {} in band {} by the gateway", rated->total.to_string(),
                              rated->band, event.amount.to_string(), event.band));
  }
  return rated;
}

}  // namespace tidegate::billing
