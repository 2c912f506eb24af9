#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/money.h"
#include "base/core/result.h"
#include "base/price/meter.h"
#include "base/price/modifier.h"
#include "base/price/price_version.h"

/// What a request costs: one function for the gateway (quotes, holds, the amount on the answer) and for billing
/// (rated lines), because two implementations of a bill are a dispute (docs/adr/0001-rating-lives-in-base.md).
namespace tidegate::price {

/// What a version is looked up by. Region and pool are those the request was served in.
struct PriceKey {
  std::string_view model;
  std::string_view currency;
  std::string_view region;
  std::string_view pool;
  std::string_view tenant = {};  ///< as in PriceVersion::tenant; "" = a customer without a contract
};

/// The instants of a request and the bound on the error of the clock that read them.
struct Instants {
  Wall admitted;
  Wall started;
  Wall completed;
  std::chrono::microseconds clock_error{0};

  static Instants all_at(Wall instant) { return {instant, instant, instant, {}}; }
  Wall at(Basis basis) const;
};

/// Beyond this bound a request cannot be rated: the clock is broken.
inline constexpr std::chrono::microseconds kClockErrorMax = std::chrono::seconds(1);

struct RatedLine {
  Meter meter = Meter::kInputCacheHit;
  std::int64_t quantity = 0;  ///< tokens
  Rate rate;
  Money amount;       ///< quantity x rate x factor, rounded once at a pico
  Ratio factor = {};  ///< of the modifiers that applied
};

struct RatedRequest {
  std::int64_t price_version = 0;
  std::string book;
  std::string band;
  Wall priced_at;  ///< the instant that decided
  std::array<RatedLine, kMeterCount> lines;
  Money total;                   ///< lines and minimum_top_up
  Money minimum_top_up = {};     ///< what the version's minimum charge adds to the lines
  std::int64_t prompt_over = 0;  ///< the prompt tier: PromptTier::over, 0 = the first
};

/// An immutable snapshot of price versions. Copying shares it. Thread-safe. No I/O after build() (which reads zone
/// files through absl). Pointers and references stay valid while any copy of the book lives.
class PriceBook {
 public:
  /// Empty: nothing has a price.
  PriceBook();
  /// Refuses, with field and fix: unknown zone or calendar, bad day or window, windows of one version that
  /// overlap, no default although windows leave a gap, two defaults, empty/missing/unknown/negative rates,
  /// effective ranges of one (model, currency, region, pool, tenant) that overlap, a change of basis that
  /// would leave requests without a price, prompt tiers out of order, more than kModifiersAtOnceMax modifiers
  /// that may meet. Fails: invalid_argument/bad_price.
  static Result<PriceBook> build(std::vector<PriceVersion> versions, std::vector<Calendar> calendars,
                                 std::vector<Modifier> modifiers = {});

  std::span<const PriceVersion> versions() const;
  std::span<const Calendar> calendars() const;
  std::span<const Modifier> modifiers() const;

  /// The version in force, the most specific first: a contract of the tenant before the list, and in each
  /// (region, pool), (region, any), (any, pool), (any, any). nullptr = no price: the model is not admissible,
  /// never free.
  const PriceVersion* version_at(const PriceKey& key, Wall instant) const;
  /// nullptr when absent.
  const PriceVersion* find(std::int64_t id) const;
  /// Exactly one schedule applies at any instant. `version` is one of this book's. Well below 1 us.
  const Schedule& schedule_at(const PriceVersion& version, Wall instant) const;
  /// Of the first prompt tier, before modifiers.
  Rate rate_of(const PriceVersion& version, const Schedule& schedule, Meter meter) const;
  /// Product of the modifiers for this tenant and model at `instant`.
  Ratio factor_at(std::string_view tenant, std::string_view model, Wall instant) const;

  /// Rates a request: the version that covers its own basis instant, the schedule at that instant, the tier
  /// of its prompt, tokens x rate x modifiers, at least the minimum charge if any token was used. Where the
  /// clock's error bound leaves two prices possible the cheaper one is charged. Fails:
  /// failed_precondition/price_missing, invalid_argument/bad_usage (negative count),
  /// failed_precondition/clock_error.
  Result<RatedRequest> rate(const PriceKey& key, const Instants& instants, const TokenCounts& tokens) const;
  /// The same with the version given; `tenant` chooses modifiers. Fails besides:
  /// failed_precondition/price_not_in_force.
  Result<RatedRequest> rate(const PriceVersion& version, const Instants& instants, const TokenCounts& tokens,
                            std::string_view tenant = {}) const;

  /// The most that a request admitted at `from` and completed by `until` can cost: every prompt token a miss,
  /// every completion token used, at the dearest band, tier and modifiers in force within, scheduled ones
  /// included. A request with fewer tokens that completes within never costs more. Fails:
  /// failed_precondition/price_missing when some instant within has no price, invalid_argument/bad_usage.
  Result<Money> worst_case(const PriceKey& key, Wall from, Wall until, std::int64_t prompt_tokens_max,
                           std::int64_t completion_tokens_max) const;

  /// The next instant after `instant` at which another band or another version begins; nullopt = none within 400 days
  /// and no end of the version.
  std::optional<Wall> next_change(const PriceVersion& version, Wall instant) const;

 private:
  struct Snapshot;
  explicit PriceBook(std::shared_ptr<const Snapshot> snapshot) : snapshot_(std::move(snapshot)) {}
  // shared_ptr: requests in flight keep the book they were admitted under while a newer one replaces it.
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace tidegate::price
