#pragma once

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
  kYuanFromDollars,
  kNanoLedger,
  kDoubles,
};

/// A second implementation, slow and direct, to check the first one and to make wrong on purpose.
class NaiveRater final : public VectorSubject {
 public:
  explicit NaiveRater(Mistake mistake) : mistake_(mistake) {}

  Status load(std::vector<PriceVersion> versions, std::vector<Calendar> calendars) override;
  Result<RatedRequest> rate(const PriceKey& key, Basis basis, const Instants& instants,
                            const TokenCounts& tokens) override;
  Result<bool> is_inside(const Schedule& schedule, const std::vector<Calendar>& calendars, Wall instant) override;
  Result<TokenCounts> counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                             std::int64_t reasoning) override;

 private:
  const PriceVersion* find(const PriceKey& key, Wall instant) const;

  Mistake mistake_;
  std::vector<PriceVersion> versions_;
  std::vector<Calendar> calendars_;
};

}  // namespace tidegate::price
