#include "base/price/price_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/core/check.h"
#include "base/price/local_windows.h"
#include "base/price/price_checks.h"

namespace tidegate::price {

namespace {

constexpr auto kChangeHorizon = std::chrono::days(400);
constexpr auto kChangeStep = std::chrono::days(8);

/// Rates by meter of prompts longer than `over`.
struct Tier {
  std::int64_t over = 0;
  std::array<Rate, kMeterCount> rates;
};
using Tiers = std::vector<Tier>;  ///< ascending, the first over 0

Tier tier_of(std::int64_t over, const MeterRates& rates) {
  Tier out{over, {}};
  for (std::size_t m = 0; m < kMeterCount; ++m) out.rates[m] = rates.find(meter_name(kMeters[m]))->second;
  return out;
}

/// A version made ready: windows in their zones, rates by meter, schedules addressed by position.
struct Compiled {
  std::vector<LocalWindows> windows;
  std::vector<Tiers> tiers;
  std::vector<std::size_t> windowed;  ///< positions of schedules that are not the default
  std::size_t fallback = 0;           ///< position of the default; unused when the windows fill the week
};

std::unexpected<Error> price_missing(const PriceKey& key, Wall instant) {
  return fail(Code::kFailedPrecondition, "price_missing",
              fmt::format("model {} has no {} price at {}; publish one before it is served", key.model, key.currency,
                          format_rfc3339(instant)),
              "model");
}

Status check_counts(std::int64_t a, std::int64_t b, std::int64_t c) {
  if (a >= 0 && b >= 0 && c >= 0) return {};
  return fail(Code::kInvalidArgument, "bad_usage", "token counts must be >= 0", "tokens");
}

}  // namespace

Wall Instants::at(Basis basis) const {
  switch (basis) {
    case Basis::kCompletedAt: return completed;
    case Basis::kAdmittedAt: return admitted;
    case Basis::kStartedAt: return started;
  }
  return completed;
}

struct PriceBook::Snapshot {
  using Selector = std::pair<std::string_view, std::string_view>;

  std::vector<PriceVersion> versions;
  std::vector<Calendar> calendars;
  std::vector<Modifier> modifiers;
  std::vector<Compiled> compiled;
  /// (model, currency) to positions in `versions`. The views point into `versions`.
  std::map<Selector, std::vector<std::size_t>> by_key;
  std::unordered_map<std::int64_t, std::size_t> by_id;

  std::size_t position_of(const PriceVersion& version) const {
    const auto position = static_cast<std::size_t>(&version - versions.data());
    TG_CHECK(position < versions.size());
    return position;
  }

  std::size_t schedule_position(std::size_t version, Wall instant) const {
    const Compiled& ready = compiled[version];
    if (ready.windowed.empty()) return ready.fallback;
    const absl::TimeZone* zone = nullptr;
    LocalMoment moment;
    for (const std::size_t i : ready.windowed) {
      const LocalWindows& windows = ready.windows[i];
      if (zone == nullptr || *zone != windows.zone()) {
        zone = &windows.zone();
        moment = local_moment(*zone, instant);
      }
      if (windows.contains(moment)) return i;
    }
    return ready.fallback;
  }

  const PriceVersion* version_at(const PriceKey& key, Wall instant) const {
    const auto found = by_key.find(Selector(key.model, key.currency));
    if (found == by_key.end()) return nullptr;
    const PriceVersion* best = nullptr;
    int best_rank = -1;
    for (const std::size_t i : found->second) {
      const PriceVersion& version = versions[i];
      if (!version.covers(instant)) continue;
      if (!version.region.empty() && version.region != key.region) continue;
      if (!version.pool.empty() && version.pool != key.pool) continue;
      if (!version.tenant.empty() && version.tenant != key.tenant) continue;
      const int rank = (version.tenant.empty() ? 0 : 4) + (version.region.empty() ? 0 : 2) +
                       (version.pool.empty() ? 0 : 1);
      if (rank > best_rank) {
        best = &version;
        best_rank = rank;
      }
    }
    return best;
  }

  /// The version that covers the instant its own basis names. An earlier decision wins: the customer saw it first.
  const PriceVersion* resolve(const PriceKey& key, const Instants& instants) const {
    for (const Basis basis : {Basis::kAdmittedAt, Basis::kStartedAt, Basis::kCompletedAt}) {
      const PriceVersion* version = version_at(key, instants.at(basis));
      if (version != nullptr && version->basis == basis) return version;
    }
    for (const Basis basis : {Basis::kCompletedAt, Basis::kStartedAt}) {
      const PriceVersion* version = version_at(key, instants.at(basis));
      if (version != nullptr && version->covers(instants.at(version->basis))) return version;
    }
    return nullptr;
  }

  Ratio factor_at(std::string_view tenant, std::string_view model, Wall instant) const {
    Ratio out;
    for (const auto& modifier : modifiers) {
      if (modifier.covers(instant) && modifier.is_for(tenant, model)) out = out * modifier.factor;
    }
    return out;
  }

  RatedRequest rate_at(const PriceVersion& version, Wall instant, const TokenCounts& tokens,
                       std::string_view tenant) const {
    const std::size_t position = position_of(version);
    const std::size_t schedule = schedule_position(position, instant);
    const Tiers& tiers = compiled[position].tiers[schedule];
    const Tier* tier = &tiers.front();
    for (const Tier& longer : tiers) {
      if (tokens.hit > longer.over - tokens.miss) tier = &longer;
    }
    RatedRequest rated;
    rated.price_version = version.id;
    rated.book = version.book;
    rated.band = version.schedules[schedule].name;
    rated.priced_at = instant;
    rated.prompt_over = tier->over;
    const Ratio factor = modifiers.empty() ? Ratio() : factor_at(tenant, version.model, instant);
    bool is_used = false;
    for (std::size_t i = 0; i < kMeterCount; ++i) {
      RatedLine& line = rated.lines[i];
      line.meter = kMeters[i];
      line.quantity = tokens.of(kMeters[i]);
      line.rate = tier->rates[i];
      line.factor = factor;
      line.amount = modified_amount(line.rate, line.quantity, factor);
      rated.total += line.amount;
      is_used |= line.quantity > 0;
    }
    if (is_used && rated.total < version.minimum_charge) {
      rated.minimum_top_up = version.minimum_charge - rated.total;
      rated.total = version.minimum_charge;
    }
    return rated;
  }

  /// Never below what a request within these bounds costs at `instant`.
  Money bound_at(const PriceVersion& version, Wall instant, std::int64_t prompt, std::int64_t completion,
                 std::string_view tenant) const {
    const std::size_t position = position_of(version);
    const Tiers& tiers = compiled[position].tiers[schedule_position(position, instant)];
    const Ratio factor = modifiers.empty() ? Ratio() : factor_at(tenant, version.model, instant);
    Money most = version.minimum_charge;
    for (std::size_t i = 0; i < tiers.size() && (i == 0 || tiers[i].over < prompt); ++i) {
      const auto& rates = tiers[i].rates;
      // A dear tier may end before the longest prompt: a shorter one is then what could cost most.
      const std::int64_t longest = i + 1 < tiers.size() ? std::min(prompt, tiers[i + 1].over) : prompt;
      Money cost = modified_amount(std::max(rates[0], rates[1]), longest, factor) +
                   modified_amount(rates[2], completion, factor);
      // Hits and misses are two lines, rounded each: together they may pass one rounded line by a pico.
      if (factor.den != 1) cost += Money::from_pico(1);
      most = std::max(most, cost);
    }
    return most;
  }

  void append_boundaries(const PriceKey& key, Wall from, Wall until, std::vector<Wall>& out) const {
    const auto found = by_key.find(Selector(key.model, key.currency));
    if (found == by_key.end()) return;
    for (const std::size_t i : found->second) {
      const PriceVersion& version = versions[i];
      if (version.effective_from > until || (version.effective_to && *version.effective_to <= from)) continue;
      if (version.effective_from > from) out.push_back(version.effective_from);
      if (version.effective_to && *version.effective_to <= until) out.push_back(*version.effective_to);
      for (const std::size_t s : compiled[i].windowed) compiled[i].windows[s].append_boundaries(from, until, out);
    }
    for (const auto& modifier : modifiers) {
      if (!modifier.is_for(key.tenant, key.model)) continue;
      if (modifier.effective_from > from && modifier.effective_from <= until)
        out.push_back(modifier.effective_from);
      if (modifier.effective_to && *modifier.effective_to > from && *modifier.effective_to <= until) {
        out.push_back(*modifier.effective_to);
      }
    }
  }
};

PriceBook::PriceBook() : snapshot_(std::make_shared<Snapshot>()) {}

Result<PriceBook> PriceBook::build(std::vector<PriceVersion> versions, std::vector<Calendar> calendars,
                                   std::vector<Modifier> modifiers) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->versions = std::move(versions);
  snapshot->calendars = std::move(calendars);
  snapshot->modifiers = std::move(modifiers);
  CalendarIndex index;
  for (const auto& calendar : snapshot->calendars) {
    if (!index.emplace(std::pair(calendar.id, calendar.version), &calendar).second) {
      return fail(Code::kInvalidArgument, "bad_price",
                  fmt::format("calendar \"{}\" version {} is given twice", calendar.id, calendar.version), "calendars");
    }
    TG_TRY(check_calendar(calendar));
  }
  TG_TRY(check_modifiers(snapshot->modifiers));
  TG_TRY(check_timeline(snapshot->versions));
  for (std::size_t i = 0; i < snapshot->versions.size(); ++i) {
    const PriceVersion& version = snapshot->versions[i];
    TG_TRY(check_version(version, index));
    Compiled ready;
    for (std::size_t s = 0; s < version.schedules.size(); ++s) {
      const Schedule& schedule = version.schedules[s];
      absl::TimeZone zone = absl::UTCTimeZone();
      const Calendar* calendar = nullptr;
      if (schedule.is_default) {
        ready.fallback = s;
      } else {
        TG_ASSIGN(zone, load_zone(schedule.tz));
        ready.windowed.push_back(s);
        if (!schedule.exclude_calendar.empty()) {
          calendar = index.at({schedule.exclude_calendar, schedule.calendar_version});
        }
      }
      ready.windows.emplace_back(schedule, zone, calendar);
      Tiers tiers{tier_of(0, schedule.rates)};
      for (const auto& tier : schedule.long_prompts) tiers.push_back(tier_of(tier.over, tier.rates));
      ready.tiers.push_back(std::move(tiers));
    }
    TG_TRY(check_overlaps(version, ready.windows));
    snapshot->compiled.push_back(std::move(ready));
    snapshot->by_key[{version.model, version.currency}].push_back(i);
    if (version.id != 0) snapshot->by_id.emplace(version.id, i);
  }
  return PriceBook(std::move(snapshot));
}

std::span<const PriceVersion> PriceBook::versions() const { return snapshot_->versions; }
std::span<const Calendar> PriceBook::calendars() const { return snapshot_->calendars; }
std::span<const Modifier> PriceBook::modifiers() const {
  return snapshot_->modifiers;
}

const PriceVersion* PriceBook::version_at(const PriceKey& key, Wall instant) const {
  return snapshot_->version_at(key, instant);
}

const PriceVersion* PriceBook::find(std::int64_t id) const {
  const auto found = snapshot_->by_id.find(id);
  return found == snapshot_->by_id.end() ? nullptr : &snapshot_->versions[found->second];
}

const Schedule& PriceBook::schedule_at(const PriceVersion& version, Wall instant) const {
  return version.schedules[snapshot_->schedule_position(snapshot_->position_of(version), instant)];
}

Rate PriceBook::rate_of(const PriceVersion& version, const Schedule& schedule, Meter meter) const {
  const auto position = static_cast<std::size_t>(&schedule - version.schedules.data());
  TG_CHECK(position < version.schedules.size());
  return snapshot_->compiled[snapshot_->position_of(version)]
      .tiers[position]
      .front()
      .rates[static_cast<std::size_t>(meter)];
}

Ratio PriceBook::factor_at(std::string_view tenant, std::string_view model, Wall instant) const {
  return snapshot_->factor_at(tenant, model, instant);
}

namespace {

/// Tries the instants as read, then both ends of the clock's error, and keeps the cheapest; as read on a tie.
template <typename RateOnce>
Result<RatedRequest> rate_within_error(const Instants& instants, RateOnce rate_once) {
  if (instants.clock_error < std::chrono::microseconds(0) || instants.clock_error > kClockErrorMax) {
    return fail(Code::kFailedPrecondition, "clock_error",
                fmt::format("the clock may be {} us off, limit {}; fix the clock before rating",
                            instants.clock_error.count(), kClockErrorMax.count()),
                "clock_error_us");
  }
  std::optional<RatedRequest> best = rate_once(instants);
  if (instants.clock_error.count() > 0) {
    for (const auto shift : {-instants.clock_error, instants.clock_error}) {
      Instants shifted = instants;
      shifted.admitted += shift;
      shifted.started += shift;
      shifted.completed += shift;
      auto other = rate_once(shifted);
      if (other && (!best || other->total < best->total)) best = std::move(other);
    }
  }
  if (best) return *std::move(best);
  return fail(Code::kFailedPrecondition, "price_missing", "");
}

}  // namespace

Result<RatedRequest> PriceBook::rate(const PriceKey& key, const Instants& instants, const TokenCounts& tokens) const {
  TG_TRY(check_counts(tokens.hit, tokens.miss, tokens.output));
  auto rated = rate_within_error(instants, [&](const Instants& at) -> std::optional<RatedRequest> {
    const PriceVersion* version = snapshot_->resolve(key, at);
    if (version == nullptr) return std::nullopt;
    return snapshot_->rate_at(*version, at.at(version->basis), tokens, key.tenant);
  });
  if (!rated && rated.error().reason == "price_missing") return price_missing(key, instants.completed);
  return rated;
}

Result<RatedRequest> PriceBook::rate(const PriceVersion& version, const Instants& instants,
                                     const TokenCounts& tokens, std::string_view tenant) const {
  TG_TRY(check_counts(tokens.hit, tokens.miss, tokens.output));
  auto rated = rate_within_error(instants, [&](const Instants& at) -> std::optional<RatedRequest> {
    const Wall instant = at.at(version.basis);
    if (!version.covers(instant)) return std::nullopt;
    return snapshot_->rate_at(version, instant, tokens, tenant);
  });
  if (!rated && rated.error().reason == "price_missing") {
    return fail(Code::kFailedPrecondition, "price_not_in_force",
                fmt::format("price version {} ({}) is not in force at {} {}", version.id, version.book,
                            basis_name(version.basis), format_rfc3339(instants.at(version.basis))),
                "price_version");
  }
  return rated;
}

Result<Money> PriceBook::worst_case(const PriceKey& key, Wall from, Wall until, std::int64_t prompt_tokens_max,
                                    std::int64_t completion_tokens_max) const {
  TG_TRY(check_counts(prompt_tokens_max, completion_tokens_max, 0));
  const PriceVersion* first = snapshot_->version_at(key, from);
  if (first == nullptr) return price_missing(key, from);
  Money most = snapshot_->bound_at(*first, from, prompt_tokens_max, completion_tokens_max, key.tenant);
  if (first->basis == Basis::kAdmittedAt) return most;
  std::vector<Wall> instants;
  snapshot_->append_boundaries(key, from, until, instants);
  for (const Wall instant : instants) {
    const PriceVersion* version = snapshot_->version_at(key, instant);
    if (version == nullptr) return price_missing(key, instant);
    most = std::max(
        most, snapshot_->bound_at(*version, instant, prompt_tokens_max, completion_tokens_max, key.tenant));
  }
  return most;
}

std::optional<Wall> PriceBook::next_change(const PriceVersion& version, Wall instant) const {
  const std::size_t position = snapshot_->position_of(version);
  const std::size_t current = snapshot_->schedule_position(position, instant);
  const Wall end = version.effective_to.value_or(Wall::max());
  const Wall last = std::min(end, instant + kChangeHorizon);
  const Compiled& ready = snapshot_->compiled[position];
  for (Wall from = instant; from < last && !ready.windowed.empty(); from += kChangeStep) {
    const Wall until = std::min(last, from + kChangeStep);
    std::vector<Wall> boundaries;
    for (const std::size_t s : ready.windowed) ready.windows[s].append_boundaries(from, until, boundaries);
    std::sort(boundaries.begin(), boundaries.end());
    for (const Wall boundary : boundaries) {
      if (boundary < end && snapshot_->schedule_position(position, boundary) != current) return boundary;
    }
  }
  if (version.effective_to) return version.effective_to;
  return std::nullopt;
}

}  // namespace tidegate::price
