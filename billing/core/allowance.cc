#include "billing/core/allowance.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/core/check.h"

namespace tidegate::billing {

namespace {

constexpr std::int64_t kQuotaMax = 1'000'000'000'000'000;
constexpr std::int64_t kRateMicroMax = 1'000'000'000'000;

std::unexpected<Error> refuse(std::string field, std::string message) {
  return fail(Code::kInvalidArgument, "bad_allowance", std::move(message), std::move(field));
}

Status check_quantity_tiers(const AllowancePlan& plan) {
  if (plan.tiers.empty() || plan.tiers.front().over != 0) {
    return refuse("allowances.tiers",
                  fmt::format("allowance \"{}\": the first tier must start at 0 tokens", plan.name));
  }
  if (plan.tiers.size() > kQuantityTiersMax) {
    return refuse("allowances.tiers",
                  fmt::format("allowance \"{}\": more than {} tiers", plan.name, kQuantityTiersMax));
  }
  for (std::size_t i = 0; i < plan.tiers.size(); ++i) {
    const auto micro = plan.tiers[i].rate.micro_per_million();
    if (micro < 0 || micro > kRateMicroMax) {
      return refuse(
          "allowances.tiers",
          fmt::format("allowance \"{}\": tier {} has a rate outside 0 to 1000000", plan.name, i + 1));
    }
    if (i == 0) continue;
    if (plan.tiers[i].over <= plan.tiers[i - 1].over) {
      return refuse("allowances.tiers",
                    fmt::format("allowance \"{}\": tier {} starts at {}, not after {}; tiers ascend",
                                plan.name, i + 1, plan.tiers[i].over, plan.tiers[i - 1].over));
    }
    if (plan.tiers[i].rate > plan.tiers[i - 1].rate) {
      return refuse(
          "allowances.tiers",
          fmt::format("allowance \"{}\": tier {} is dearer than the one before; tiers only give back",
                      plan.name, i + 1));
    }
  }
  return {};
}

}  // namespace

std::string_view allowance_kind_name(AllowanceKind kind) {
  switch (kind) {
    case AllowanceKind::kGraduated:
      return "graduated";
    case AllowanceKind::kVolume:
      return "volume";
    case AllowanceKind::kFreeQuota:
      return "free_quota";
  }
  return "";
}

std::optional<AllowanceKind> parse_allowance_kind(std::string_view name) {
  for (const auto kind : {AllowanceKind::kGraduated, AllowanceKind::kVolume, AllowanceKind::kFreeQuota}) {
    if (allowance_kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

Status check_allowance(const AllowancePlan& plan) {
  if (plan.name.empty()) return refuse("allowances.name", "an allowance has no name");
  if (plan.currency.size() != 3)
    return refuse("allowances.currency", fmt::format("allowance \"{}\": name a currency", plan.name));
  if (plan.effective_to && *plan.effective_to <= plan.effective_from) {
    return refuse("allowances.effective_to",
                  fmt::format("allowance \"{}\": effective_to must be after effective_from", plan.name));
  }
  const std::set<price::Meter> meters(plan.meters.begin(), plan.meters.end());
  if (meters.empty() || meters.size() != plan.meters.size()) {
    return refuse("allowances.meters",
                  fmt::format("allowance \"{}\": list each counted meter once", plan.name));
  }
  if (plan.kind != AllowanceKind::kFreeQuota) return check_quantity_tiers(plan);
  if (!plan.tiers.empty())
    return refuse("allowances.tiers", fmt::format("allowance \"{}\": a free quota has no tiers", plan.name));
  if (plan.free_tokens < 1 || plan.free_tokens > kQuotaMax) {
    return refuse(
        "allowances.free_tokens",
        fmt::format("allowance \"{}\": free_tokens must lie between 1 and {}", plan.name, kQuotaMax));
  }
  return {};
}

Result<std::vector<QuantityTier>> tiers_of_ranges(const std::vector<QuantityRange>& ranges) {
  std::vector<QuantityTier> out;
  std::optional<std::int64_t> end = 0;
  for (const auto& range : ranges) {
    if (!end) return refuse("tiers", fmt::format("a tier from {} follows one without an end", range.from));
    if (range.from > *end)
      return refuse("tiers", fmt::format("nothing prices the tokens from {} to {}", *end, range.from));
    if (range.from < *end)
      return refuse("tiers", fmt::format("two tiers price the tokens from {} to {}", range.from, *end));
    if (range.to && *range.to <= range.from)
      return refuse("tiers", fmt::format("the tier from {} ends before it starts", range.from));
    out.push_back({range.from, range.rate});
    end = range.to;
  }
  if (end)
    return refuse("tiers", fmt::format("nothing prices tokens after {}; leave the last tier open", *end));
  return out;
}

Money month_cost(const AllowancePlan& plan, Int128 quantity) {
  TG_CHECK(!plan.tiers.empty() && quantity >= 0);
  Int128 pico = 0;
  for (std::size_t i = 0; i < plan.tiers.size() && plan.tiers[i].over < quantity; ++i) {
    const bool is_last = i + 1 == plan.tiers.size() || plan.tiers[i + 1].over >= quantity;
    const Int128 rate = plan.tiers[i].rate.micro_per_million();
    if (plan.kind == AllowanceKind::kVolume) {
      if (is_last) pico = quantity * rate;
    } else {
      pico += ((is_last ? quantity : plan.tiers[i + 1].over) - plan.tiers[i].over) * rate;
    }
  }
  return Money::from_pico(pico);
}

Allowance allowance_of(const AllowancePlan& plan, std::int64_t prior, const price::RatedRequest& rated) {
  Allowance out;
  Int128 count = prior;
  for (const auto meter : plan.meters) {
    const price::RatedLine& line = rated.lines[static_cast<std::size_t>(meter)];
    const Int128 after = count + line.quantity;
    Money cost;
    if (plan.kind == AllowanceKind::kFreeQuota) {
      const Int128 charged = after - std::clamp<Int128>(plan.free_tokens, count, after);
      cost = price::modified_amount(line.rate, static_cast<std::int64_t>(charged), line.factor);
    } else {
      cost = price::scaled(month_cost(plan, after) - month_cost(plan, count), line.factor);
    }
    out.amount += line.amount - cost;
    count = after;
  }
  out.counted = static_cast<std::int64_t>(count - prior);
  // A list price below the tier's: the customer keeps it.
  out.amount = std::max(out.amount, Money());
  return out;
}

}  // namespace tidegate::billing
