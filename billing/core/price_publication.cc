#include "billing/core/price_publication.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace tidegate::billing {

namespace {

using price::Calendar;
using price::Modifier;
using price::PriceBook;
using price::PriceVersion;

std::unexpected<Error> refuse(const PriceVersion& version, std::string field, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_price",
              fmt::format("price book \"{}\" ({} {}): {}", version.book, version.model, version.currency, what),
              std::move(field));
}

auto identity(const PriceVersion& v) {
  return std::tie(v.book, v.model, v.currency, v.region, v.pool, v.tenant, v.effective_from);
}

Wall end_of(const PriceVersion& version) { return version.effective_to.value_or(Wall::max()); }

bool same_but_for_end(PriceVersion a, const PriceVersion& b) {
  a.id = b.id;
  a.effective_to = b.effective_to;
  return a == b;
}

/// Numbers the file's calendars: a known list of days keeps its version, a new one gets the next.
void number_calendars(const PriceBook& published, std::vector<Calendar>& calendars, PricePlan& plan,
                      std::map<std::string, std::int32_t>& versions) {
  for (const auto& known : published.calendars()) {
    auto& latest = versions[known.id];
    latest = std::max(latest, known.version);
  }
  for (auto& calendar : calendars) {
    std::sort(calendar.days.begin(), calendar.days.end());
    calendar.days.erase(std::unique(calendar.days.begin(), calendar.days.end()), calendar.days.end());
    std::sort(calendar.workdays.begin(), calendar.workdays.end());
    const auto known = std::find_if(published.calendars().begin(), published.calendars().end(), [&](const Calendar& c) {
      return c.id == calendar.id && c.days == calendar.days && c.workdays == calendar.workdays;
    });
    if (known != published.calendars().end()) {
      calendar.version = known->version;
    } else {
      calendar.version = versions[calendar.id] + 1;
      plan.calendars.push_back(calendar);
    }
    versions[calendar.id] = calendar.version;
  }
}

bool overlap(const PriceVersion& a, const PriceVersion& b) {
  return a.effective_from < end_of(b) && b.effective_from < end_of(a);
}

/// A version that takes over from one in force must leave its requests time to end.
Status check_lead(const PriceBook& published, const PriceVersion& version, Wall now, Wall earliest) {
  if (version.effective_from >= earliest || end_of(version) <= now) return {};
  for (const auto& other : published.versions()) {
    const bool is_rival = other.model == version.model && other.currency == version.currency &&
                          (other.tenant.empty() || other.tenant == version.tenant) && overlap(other, version);
    if (is_rival && other.covers(now)) {
      return refuse(version, "effective_from",
                    fmt::format("would change the price in force ({}) before {}; requests under way need that long",
                                other.book, format_rfc3339(earliest)));
    }
  }
  return {};
}

std::unexpected<Error> refuse(const Modifier& modifier, std::string field, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_price", fmt::format("modifier \"{}\": {}", modifier.name, what),
              std::move(field));
}

auto identity(const Modifier& m) { return std::tie(m.name, m.tenant, m.model, m.effective_from); }

/// Fills `after` with what will be published.
Status plan_modifiers(std::vector<Modifier> wanted, Wall earliest, PricePlan& plan, std::vector<Modifier>& after) {
  for (auto& modifier : wanted) {
    const auto known = std::ranges::find_if(
        after, [&](const Modifier& m) { return m.id != 0 && identity(m) == identity(modifier); });
    if (known == after.end()) {
      if (modifier.effective_from < earliest) {
        return refuse(modifier, "effective_from",
                      fmt::format("would change prices in force before {}; requests under way need that long",
                                  format_rfc3339(earliest)));
      }
      plan.add_modifiers.push_back(modifier);
      after.push_back(std::move(modifier));
      continue;
    }
    if (known->factor != modifier.factor) {
      return refuse(modifier, "modifiers",
                    fmt::format("is published with the factor {}; end it and publish a new one", known->factor.to_string()));
    }
    if (known->effective_to == modifier.effective_to) {
      ++plan.unchanged;
      continue;
    }
    if (std::min(known->effective_to.value_or(Wall::max()), modifier.effective_to.value_or(Wall::max())) < earliest) {
      return refuse(modifier, "effective_to",
                    fmt::format("an end may move only while the old and the new one lie after {}", format_rfc3339(earliest)));
    }
    plan.modifier_ends.push_back({known->id, modifier.effective_to});
    known->effective_to = modifier.effective_to;
  }
  return {};
}

bool same_place(const PriceVersion& a, const PriceVersion& b) {
  return std::tie(a.model, a.currency, a.region, a.pool, a.tenant) ==
         std::tie(b.model, b.currency, b.region, b.pool, b.tenant);
}

std::unexpected<Error> in_force(std::string_view what, Wall from) {
  return fail(Code::kFailedPrecondition, "price_in_force",
              fmt::format("{} is in force from {}, too soon to take back; publish it with an earlier effective_to instead",
                          what, format_rfc3339(from)),
              "id");
}

}  // namespace

Result<PricePlan> plan_publication(const PriceBook& published, PriceDraft draft, Wall now, Duration lead) {
  PricePlan plan;
  auto& [versions, calendars, modifiers] = draft;
  const Wall earliest = now + std::chrono::ceil<std::chrono::microseconds>(lead);
  std::map<std::string, std::int32_t> calendar_versions;
  number_calendars(published, calendars, plan, calendar_versions);

  std::vector<PriceVersion> after(published.versions().begin(), published.versions().end());
  for (auto& version : versions) {
    for (auto& schedule : version.schedules) {
      if (!schedule.exclude_calendar.empty()) schedule.calendar_version = calendar_versions[schedule.exclude_calendar];
    }
    const auto known = std::find_if(after.begin(), after.end(),
                                    [&](const PriceVersion& v) { return v.id != 0 && identity(v) == identity(version); });
    if (known == after.end()) {
      TG_TRY(check_lead(published, version, now, earliest));
      plan.add.push_back(version);
      after.push_back(version);
      continue;
    }
    if (!same_but_for_end(version, *known)) {
      return refuse(version, "price_books",
                    "is already published with other content; a published price does not change: end it and publish a "
                    "new book that starts there");
    }
    if (version.effective_to == known->effective_to) {
      ++plan.unchanged;
      continue;
    }
    if (std::min(end_of(version), end_of(*known)) < earliest) {
      return refuse(version, "effective_to",
                    fmt::format("an end may move only while the old and the new one lie after {}", format_rfc3339(earliest)));
    }
    plan.ends.push_back({known->id, version.effective_to});
    known->effective_to = version.effective_to;
  }

  std::vector<Calendar> all(published.calendars().begin(), published.calendars().end());
  all.insert(all.end(), plan.calendars.begin(), plan.calendars.end());
  std::vector<Modifier> modifiers_after(published.modifiers().begin(), published.modifiers().end());
  TG_TRY(plan_modifiers(std::move(modifiers), earliest, plan, modifiers_after));
  TG_TRY(PriceBook::build(std::move(after), std::move(all), std::move(modifiers_after)));
  return plan;
}

Result<WithdrawalPlan> plan_withdrawal(const PriceBook& published, std::int64_t version, Wall now, Duration lead) {
  const PriceVersion* found = published.find(version);
  if (found == nullptr) {
    return fail(Code::kNotFound, "unknown_price", fmt::format("no price version {} is published", version), "id");
  }
  if (found->effective_from < now + std::chrono::ceil<std::chrono::microseconds>(lead)) {
    return in_force(fmt::format("price version {}/{}", found->book, version), found->effective_from);
  }
  WithdrawalPlan plan{*found, std::nullopt};
  std::vector<PriceVersion> after;
  for (const auto& other : published.versions()) {
    if (other.id == version) continue;
    after.push_back(other);
    if (same_place(other, *found) && other.effective_to == found->effective_from) {
      plan.resumed = PriceEnd{other.id, found->effective_to};
      after.back().effective_to = found->effective_to;
    }
  }
  std::vector<Calendar> calendars(published.calendars().begin(), published.calendars().end());
  std::vector<Modifier> modifiers(published.modifiers().begin(), published.modifiers().end());
  TG_TRY(PriceBook::build(std::move(after), std::move(calendars), std::move(modifiers)));
  return plan;
}

Result<Modifier> plan_modifier_withdrawal(const PriceBook& published, std::int64_t modifier, Wall now, Duration lead) {
  const auto found = std::ranges::find(published.modifiers(), modifier, &Modifier::id);
  if (found == published.modifiers().end()) {
    return fail(Code::kNotFound, "unknown_modifier", fmt::format("no modifier {} is published", modifier), "id");
  }
  if (found->effective_from < now + std::chrono::ceil<std::chrono::microseconds>(lead)) {
    return in_force(fmt::format("modifier {}", found->name), found->effective_from);
  }
  return *found;
}

namespace {

/// The draft's versions of one place, ordered; checks that they reach from `from` to `to` once the first begins there.
Status stretch(std::vector<PriceVersion*>& place, Wall from, Wall to) {
  std::ranges::sort(place, {}, [](const PriceVersion* v) { return v->effective_from; });
  place.front()->effective_from = std::min(place.front()->effective_from, from);
  Wall reached = from;
  for (const PriceVersion* version : place) {
    if (version->effective_from <= reached) reached = std::max(reached, end_of(*version));
  }
  if (reached >= to) return {};
  return refuse(*place.back(), "effective_to",
                fmt::format("has no price after {}, before the end of the period at {}", format_rfc3339(reached),
                            format_rfc3339(to)));
}

}  // namespace

Result<PriceBook> preview_book(const PriceBook& published, PriceDraft draft, Wall from, Wall to) {
  if (to <= from) {
    return fail(Code::kInvalidArgument, "bad_range", "the period is empty: give from before to (it is half-open)", "to_us");
  }
  PricePlan numbered;
  std::map<std::string, std::int32_t> calendar_versions;
  number_calendars(published, draft.calendars, numbered, calendar_versions);
  std::vector<PriceVersion> versions;
  std::int64_t next_id = 1;
  for (const auto& version : published.versions()) {
    next_id = std::max(next_id, version.id + 1);
    const bool is_replaced =
        std::ranges::any_of(draft.versions, [&](const PriceVersion& v) { return same_place(v, version); });
    if (!is_replaced) versions.push_back(version);
  }
  std::map<std::tuple<std::string, std::string, std::string, std::string, std::string>, std::vector<PriceVersion*>> places;
  for (auto& version : draft.versions) {
    version.id = next_id++;
    for (auto& schedule : version.schedules) {
      if (!schedule.exclude_calendar.empty()) schedule.calendar_version = calendar_versions[schedule.exclude_calendar];
    }
    places[{version.model, version.currency, version.region, version.pool, version.tenant}].push_back(&version);
  }
  for (auto& [key, place] : places) TG_TRY(stretch(place, from, to));
  versions.insert(versions.end(), draft.versions.begin(), draft.versions.end());

  std::vector<Modifier> modifiers;
  for (const auto& modifier : published.modifiers()) {
    const bool is_replaced = std::ranges::any_of(draft.modifiers, [&](const Modifier& m) {
      return std::tie(m.name, m.tenant, m.model) == std::tie(modifier.name, modifier.tenant, modifier.model);
    });
    if (!is_replaced) modifiers.push_back(modifier);
  }
  for (auto& modifier : draft.modifiers) {
    modifier.effective_from = std::min(modifier.effective_from, from);
    modifiers.push_back(std::move(modifier));
  }
  std::vector<Calendar> calendars(published.calendars().begin(), published.calendars().end());
  calendars.insert(calendars.end(), numbered.calendars.begin(), numbered.calendars.end());
  return PriceBook::build(std::move(versions), std::move(calendars), std::move(modifiers));
}

std::string canonical_text(const PriceVersion& version) {
  std::string out = fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n", version.book, version.model, version.currency,
                                version.region, version.pool, unix_micros(version.effective_from),
                                version.effective_to ? fmt::to_string(unix_micros(*version.effective_to)) : "open",
                                price::basis_name(version.basis));
  // Only where they say something: versions published before these existed keep their digest.
  if (!version.tenant.empty()) out += fmt::format("tenant {}\n", version.tenant);
  if (!version.minimum_charge.is_zero()) out += fmt::format("minimum {}\n", version.minimum_charge.to_string());
  for (const auto& schedule : version.schedules) {
    out += fmt::format("schedule {} {} {} {}/{}\n", schedule.name, schedule.is_default ? "default" : schedule.tz,
                       fmt::join(schedule.days, ","), schedule.exclude_calendar, schedule.calendar_version);
    for (const auto& window : schedule.windows) out += fmt::format("window {} {}\n", window.start_s, window.end_s);
    for (const auto& [meter, rate] : schedule.rates) out += fmt::format("rate {} {}\n", meter, rate.micro_per_million());
    for (const auto& tier : schedule.long_prompts) {
      for (const auto& [meter, rate] : tier.rates) {
        out += fmt::format("rate over {} {} {}\n", tier.over, meter, rate.micro_per_million());
      }
    }
  }
  return out;
}

}  // namespace tidegate::billing
