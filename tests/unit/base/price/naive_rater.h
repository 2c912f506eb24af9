#pragma once

#include <string_view>
#include <vector>

#include "base/price/vectors.h"

namespace tidegate::price {

/// Mistakes that real billing systems made, one at a time.
enum class Mistake {
  kNone,
  kEffectiveToInclusive,
  kWindowEndInclusive,
  kStartDecides,
  kLatestBookForAll,
  kNoWeekdays,
  kNoHolidays,
  kDateFromUtc,
  kWholeHours,
  kNoWrap,
  kWrapBelongsToEndDay,
  kFixedOffset,
  kMultiplier,
  kYuanFromDollars,
  kNanoLedger,
  kDoubles,
  kDoubleModifiers,
  kTruncatedModifiers,
  kFirstModifierOnly,
  kTierByMissesOnly,
  kTierForTheRestOnly,
  kMinimumForNothing,
  kErrorTwiceAsWide,
  kHoldAtAdmissionPrice,
  kUncheckedCounts,
};
std::string_view mistake_name(Mistake mistake);

/// A second implementation, slow and direct, to check the first one and to make wrong on purpose.
class NaiveRater final : public VectorSubject {
 public:
  explicit NaiveRater(Mistake mistake) : mistake_(mistake) {}

  Status load(std::vector<PriceVersion> versions, std::vector<Calendar> calendars) override;
  Result<RatedRequest> rate(const PriceKey& key, Basis basis, const Instants& instants,
                            const TokenCounts& tokens) override;
  Result<RatedRequest> rate_with(std::vector<PriceVersion> versions, std::vector<Modifier> modifiers,
                                 const PriceKey& key, const Instants& instants,
                                 const TokenCounts& tokens) override;
  Result<Money> worst_case(const PriceKey& key, Wall from, Wall until, std::int64_t prompt_tokens_max,
                           std::int64_t completion_tokens_max) override;
  Result<bool> is_inside(const Schedule& schedule, const std::vector<Calendar>& calendars, Wall instant) override;
  Result<TokenCounts> counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                             std::int64_t reasoning) override;

 private:
  const PriceVersion* find(const PriceKey& key, Wall instant) const;
  Result<const Schedule*> band_at(const PriceVersion& version, Wall instant);
  MeterRates rates_of(const PriceKey& key, const PriceVersion& version, const Schedule& schedule,
                      Wall instant, const TokenCounts& tokens) const;
  Result<RatedRequest> rate_at(const PriceKey& key, Wall instant, const TokenCounts& tokens);
  Money line_amount(std::int64_t quantity, Rate rate) const;

  Mistake mistake_;
  std::vector<PriceVersion> versions_;
  std::vector<Calendar> calendars_;
  std::vector<Modifier> modifiers_;
};

}  // namespace tidegate::price
