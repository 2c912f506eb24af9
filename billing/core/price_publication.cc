#include "billing/core/price_publication.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace tidegate::billing {

namespace {

using price::Calendar;
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
    const bool is_rival = other.model == version.model && other.currency == version.currency && overlap(other, version);
    if (is_rival && other.covers(now)) {
      return refuse(version, "effective_from",
                    fmt::format("would change the price in force ({}) before {}; requests under way need that long",
                                other.book, format_rfc3339(earliest)));
    }
  }
  return {};
}

}  // namespace

Result<PricePlan> plan_publication(const PriceBook& published, std::vector<PriceVersion> versions,
                                   std::vector<Calendar> calendars, Wall now, Duration lead) {
  PricePlan plan;
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
  TG_TRY(PriceBook::build(std::move(after), std::move(all)));
  return plan;
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
