#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/price/price_book.h"

/// What a customer's use of a whole month takes off its single requests: tiers by cumulative quantity and
/// free quotas. They depend on what was used before, so a gateway cannot know them: it charges the list
/// price, and billing gives the difference back in the transaction that posts the usage. A difference is
/// never to the customer's disadvantage.
namespace tidegate::billing {

/// graduated: each token costs the rate of the tier it falls into. volume: all tokens of the month cost the
/// rate of the tier that the month has reached, so one token more can lower the bill. free_quota: the first
/// tokens cost nothing.
enum class AllowanceKind : std::uint8_t { kGraduated, kVolume, kFreeQuota };
std::string_view allowance_kind_name(AllowanceKind kind);  ///< "graduated"
std::optional<AllowanceKind> parse_allowance_kind(std::string_view name);

/// Rate of cumulative tokens in (over, the next tier's over].
struct QuantityTier {
  std::int64_t over = 0;
  Rate rate;
  bool operator==(const QuantityTier&) const = default;
};

struct AllowancePlan {
  std::int64_t id = 0;  ///< given when published
  std::string name;
  AllowanceKind kind = AllowanceKind::kGraduated;
  std::string tenant;                ///< "" = everyone
  std::string model;                 ///< "" = every model, counted together
  std::string currency;              ///< "USD"
  std::vector<price::Meter> meters;  ///< counted together, in this order within a request; none twice
  std::vector<QuantityTier> tiers;   ///< of graduated and volume; the first over 0
  std::int64_t free_tokens = 0;      ///< of free_quota
  Wall effective_from = {};
  std::optional<Wall> effective_to = {};

  bool operator==(const AllowancePlan&) const = default;
};

inline constexpr std::size_t kQuantityTiersMax = 32;

/// Refuses: no name, meter, or tier; tiers that do not start at 0, do not ascend or grow dearer (that would
/// be a charge after the fact); a rate or quota out of range. Fails: invalid_argument/bad_allowance, the
/// field named.
Status check_allowance(const AllowancePlan& plan);

/// Tiers from ranges (from, to] as price lists print them; the last `to` is open.
/// Fails: invalid_argument/bad_allowance for a gap, an overlap, an end that is not the last.
struct QuantityRange {
  std::int64_t from = 0;
  std::optional<std::int64_t> to;
  Rate rate;
};
Result<std::vector<QuantityTier>> tiers_of_ranges(const std::vector<QuantityRange>& ranges);

/// What `quantity` tokens of a month cost, before modifiers, in pico. `plan` is graduated or volume.
Money month_cost(const AllowancePlan& plan, Int128 quantity);

/// One event's part: how many tokens it adds to the month's count, and what is taken off its charge (>= 0).
struct Allowance {
  std::int64_t counted = 0;
  Money amount;
};
/// `prior` is what the month had counted before, in the tenant's zone; `rated` the event's lines at list
/// price. The event's modifiers apply to the tier's rates too, and each line rounds once, half to even at a
/// pico. The minimum charge is not given back.
Allowance allowance_of(const AllowancePlan& plan, std::int64_t prior, const price::RatedRequest& rated);

}  // namespace tidegate::billing
