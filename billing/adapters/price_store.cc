#include "billing/adapters/price_store.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "base/crypto/sha256.h"
#include "base/pg/types.h"
#include "billing/adapters/account_store.h"
#include "billing/adapters/allowance_store.h"
#include "billing/adapters/change_log.h"

namespace tidegate::billing {

namespace {

using price::Calendar;
using price::PriceVersion;
using price::Schedule;

constexpr const char* kLoadVersions = R"sql(
  SELECT id, book, model, currency, region, pool, basis,
         (extract(epoch FROM lower(effective)) * 1000000)::bigint,
         (extract(epoch FROM upper(effective)) * 1000000)::bigint, tenant, minimum_charge
    FROM price_versions WHERE status = 'published' ORDER BY id)sql";

constexpr const char* kLoadSchedules = R"sql(
  SELECT s.price_version, s.band, s.is_default, s.tz, array_to_string(s.days, ','), s.calendar_id, s.calendar_version,
         coalesce((SELECT string_agg(w.start_s || '-' || w.end_s, ',' ORDER BY w.ord) FROM price_windows w
                    WHERE w.price_version = s.price_version AND w.band = s.band), ''),
         (SELECT string_agg(r.prompt_over || '>' || r.meter || '=' || r.micro_per_1m, ',' ORDER BY r.prompt_over)
            FROM price_rates r
           WHERE r.price_version = s.price_version AND r.band = s.band)
    FROM price_schedules s JOIN price_versions v ON v.id = s.price_version
   WHERE v.status = 'published' ORDER BY s.price_version, s.ord)sql";

constexpr const char* kLoadCalendars =
    "SELECT id, version, day::text, is_workday FROM calendars ORDER BY id, version, day";
constexpr const char* kLoadModifiers = R"sql(
  SELECT id, name, num, den, tenant, model, (extract(epoch FROM lower(effective)) * 1000000)::bigint,
         (extract(epoch FROM upper(effective)) * 1000000)::bigint
    FROM price_modifiers WHERE status = 'published' ORDER BY id)sql";
constexpr const char* kInsertModifier = R"sql(
  INSERT INTO price_modifiers (name, num, den, tenant, model, effective)
  VALUES ($1, $2, $3, $4, $5, tstzrange($6::timestamptz, nullif($7, '')::timestamptz)) RETURNING id)sql";

constexpr const char* kInsertVersion = R"sql(
  INSERT INTO price_versions (book, model, currency, region, pool, effective, basis, sha256, tenant,
                              minimum_charge)
  VALUES ($1, $2, $3, $4, $5, tstzrange($6::timestamptz, nullif($7, '')::timestamptz), $8, $9::bytea, $10, $11::numeric)
  RETURNING id)sql";
constexpr const char* kInsertSchedule = R"sql(
  INSERT INTO price_schedules (price_version, ord, band, is_default, tz, days, calendar_id, calendar_version)
  VALUES ($1, $2, $3, $4::boolean, $5, $6::smallint[], $7, $8))sql";
constexpr const char* kInsertWindows = R"sql(
  INSERT INTO price_windows (price_version, band, ord, start_s, end_s)
  SELECT $1::bigint, $2::text, w.ord, w.start_s, w.end_s
    FROM unnest($3::int[], $4::int[]) WITH ORDINALITY AS w(start_s, end_s, ord))sql";
constexpr const char* kInsertRates = R"sql(
  INSERT INTO price_rates (price_version, band, prompt_over, meter, micro_per_1m)
  SELECT $1::bigint, $2::text, r.* FROM unnest($3::bigint[], $4::text[], $5::bigint[]) AS r)sql";
constexpr const char* kInsertCalendar = R"sql(
  INSERT INTO calendars (id, version, day, is_workday) SELECT $1::text, $2::int, d, $4::boolean FROM unnest($3::date[]) AS d)sql";
constexpr const char* kMoveModifierEnd = R"sql(
  UPDATE price_modifiers SET effective = tstzrange(lower(effective), nullif($2, '')::timestamptz) WHERE id = $1)sql";
constexpr const char* kWithdraw =
    "UPDATE price_versions SET status = 'withdrawn', withdrawn_at = $2::timestamptz WHERE id = $1";
constexpr const char* kWithdrawModifier =
    "UPDATE price_modifiers SET status = 'withdrawn', withdrawn_at = $2::timestamptz WHERE id = $1";
constexpr const char* kMoveEnd = R"sql(
  UPDATE price_versions SET effective = tstzrange(lower(effective), nullif($2, '')::timestamptz), sha256 = $3::bytea
   WHERE id = $1)sql";

std::int64_t number(std::string_view text) {
  std::int64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

Schedule read_schedule(const pqxx::row& row) {
  Schedule schedule;
  schedule.name = pg::read_text(row[1]);
  schedule.is_default = pg::read_bool(row[2]);
  schedule.tz = pg::read_text(row[3]);
  for (const auto& day : pg::read_list(row[4], ',')) schedule.days.push_back(static_cast<int>(number(day)));
  schedule.exclude_calendar = pg::read_text(row[5]);
  schedule.calendar_version = static_cast<std::int32_t>(pg::read_int64(row[6]));
  for (const auto& piece : pg::read_list(row[7], ',')) {
    const auto dash = piece.find('-');
    schedule.windows.push_back({static_cast<std::int32_t>(number(piece.substr(0, dash))),
                                static_cast<std::int32_t>(number(piece.substr(dash + 1)))});
  }
  for (const auto& piece : pg::read_list(row[8], ',')) {
    const auto arrow = piece.find('>');
    const auto equals = piece.find('=');
    const std::int64_t over = number(piece.substr(0, arrow));
    if (over > 0 && (schedule.long_prompts.empty() || schedule.long_prompts.back().over != over)) {
      schedule.long_prompts.push_back({over, {}});
    }
    auto& rates = over == 0 ? schedule.rates : schedule.long_prompts.back().rates;
    rates.emplace(piece.substr(arrow + 1, equals - arrow - 1), Rate::from_micro_per_million(number(piece.substr(equals + 1))));
  }
  return schedule;
}

std::vector<Calendar> load_calendars(pqxx::work& tx) {
  std::vector<Calendar> out;
  for (const auto& row : tx.exec(kLoadCalendars)) {
    const std::string id = pg::read_text(row[0]);
    const auto version = static_cast<std::int32_t>(pg::read_int64(row[1]));
    if (out.empty() || out.back().id != id || out.back().version != version) out.push_back({id, version, {}});
    auto& days = pg::read_bool(row[3]) ? out.back().workdays : out.back().days;
    if (const auto day = price::parse_date(pg::read_text(row[2]))) days.push_back(*day);
  }
  return out;
}

std::vector<price::Modifier> load_modifiers(pqxx::work& tx) {
  std::vector<price::Modifier> out;
  for (const auto& row : tx.exec(kLoadModifiers)) {
    price::Modifier modifier;
    modifier.id = pg::read_int64(row[0]);
    modifier.name = pg::read_text(row[1]);
    modifier.factor = {pg::read_int64(row[2]), pg::read_int64(row[3])};
    modifier.tenant = pg::read_text(row[4]);
    modifier.model = pg::read_text(row[5]);
    modifier.effective_from = pg::read_wall(row[6]);
    modifier.effective_to = pg::read_wall_if(row[7]);
    out.push_back(std::move(modifier));
  }
  return out;
}

}  // namespace

std::string price_sha256(const PriceVersion& version) {
  return std::string(as_view(sha256(canonical_text(version))));
}

std::int64_t insert_price_version(pqxx::work& tx, const PriceVersion& version) {
  const auto inserted =
      tx.exec_params1(kInsertVersion, version.book, version.model, version.currency, version.region, version.pool,
                      pg::to_sql(version.effective_from), pg::to_sql_if(version.effective_to),
                      std::string(price::basis_name(version.basis)), pg::to_bytea(price_sha256(version)),
                      version.tenant, version.minimum_charge.to_string());
  const std::int64_t id = pg::read_int64(inserted[0]);
  int ord = 0;
  for (const auto& schedule : version.schedules) {
    pg::ArrayLiteral days, starts, ends, overs, meters, micros;
    auto add_rates = [&](std::int64_t over, const price::MeterRates& rates) {
      for (const auto& [meter, rate] : rates) {
        overs.add(over);
        meters.add(meter);
        micros.add(rate.micro_per_million());
      }
    };
    for (const int day : schedule.days) days.add(std::int64_t{day});
    for (const auto& window : schedule.windows) {
      starts.add(std::int64_t{window.start_s});
      ends.add(std::int64_t{window.end_s});
    }
    add_rates(0, schedule.rates);
    for (const auto& tier : schedule.long_prompts) add_rates(tier.over, tier.rates);
    tx.exec_params0(kInsertSchedule, id, ord++, schedule.name, schedule.is_default ? "t" : "f", schedule.tz, days.text(),
                    schedule.exclude_calendar, schedule.calendar_version);
    tx.exec_params0(kInsertWindows, id, schedule.name, starts.text(), ends.text());
    tx.exec_params0(kInsertRates, id, schedule.name, overs.text(), meters.text(), micros.text());
  }
  return id;
}

std::int64_t insert_modifier(pqxx::work& tx, const price::Modifier& modifier) {
  const auto inserted = tx.exec_params1(kInsertModifier, modifier.name, modifier.factor.num, modifier.factor.den,
                                        modifier.tenant, modifier.model, pg::to_sql(modifier.effective_from),
                                        pg::to_sql_if(modifier.effective_to));
  return pg::read_int64(inserted[0]);
}

void insert_calendar(pqxx::work& tx, const Calendar& calendar) {
  for (const bool is_workday : {false, true}) {
    pg::ArrayLiteral days;
    for (const auto day : is_workday ? calendar.workdays : calendar.days) days.add(price::format_date(day));
    tx.exec_params0(kInsertCalendar, calendar.id, calendar.version, days.text(), is_workday ? "t" : "f");
  }
}

Result<PublishedPrices> load_prices(pqxx::work& tx) {
  PublishedPrices out;
  out.revision = pg::read_int64(tx.exec1("SELECT revision FROM price_state")[0]);
  std::vector<PriceVersion> versions;
  std::map<std::int64_t, std::size_t> by_id;
  for (const auto& row : tx.exec(kLoadVersions)) {
    PriceVersion version;
    version.id = pg::read_int64(row[0]);
    version.book = pg::read_text(row[1]);
    version.model = pg::read_text(row[2]);
    version.currency = pg::read_text(row[3]);
    version.region = pg::read_text(row[4]);
    version.pool = pg::read_text(row[5]);
    version.basis = price::parse_basis(pg::read_text(row[6])).value_or(price::Basis::kCompletedAt);
    version.effective_from = pg::read_wall(row[7]);
    version.effective_to = pg::read_wall_if(row[8]);
    version.tenant = pg::read_text(row[9]);
    version.minimum_charge = pg::read_money(row[10]);
    by_id[version.id] = versions.size();
    versions.push_back(std::move(version));
  }
  for (const auto& row : tx.exec(kLoadSchedules)) {
    versions[by_id.at(pg::read_int64(row[0]))].schedules.push_back(read_schedule(row));
  }
  TG_ASSIGN(out.book, price::PriceBook::build(std::move(versions), load_calendars(tx), load_modifiers(tx)));
  out.allowances = load_allowances(tx);
  return out;
}

namespace {

/// One publication at a time: the plan is made against what the next one will see.
Result<PublishedPrices> lock_prices(pqxx::work& tx) {
  tx.exec1("SELECT revision FROM price_state FOR UPDATE");
  return load_prices(tx);
}

void move_end(pqxx::work& tx, const price::PriceBook& book, const PriceEnd& end) {
  PriceVersion version = *book.find(end.id);
  version.effective_to = end.effective_to;
  tx.exec_params0(kMoveEnd, end.id, pg::to_sql_if(end.effective_to), pg::to_bytea(price_sha256(version)));
}

void announce(pqxx::work& tx, const std::vector<std::string>& changed) {
  tx.exec0("UPDATE price_state SET revision = revision + 1");
  append_changes(tx, ChangeKind::kPrice, changed);
}

}  // namespace

Result<PriceDraft> read_draft(pqxx::work& tx, const price::PriceFile& file) {
  PriceDraft draft{file.versions, file.calendars, file.modifiers};
  std::map<std::string, std::string> ids;
  auto resolve = [&](std::string& tenant) -> Status {
    if (tenant.empty()) return {};
    if (!ids.contains(tenant)) {
      TG_ASSIGN(const auto row, find_tenant(tx, tenant));
      ids[tenant] = row.id.to_string();
    }
    tenant = ids[tenant];
    return {};
  };
  for (auto& version : draft.versions) TG_TRY(resolve(version.tenant));
  for (auto& modifier : draft.modifiers) TG_TRY(resolve(modifier.tenant));
  return draft;
}

Result<PricePlan> publish_prices(pqxx::work& tx, const price::PriceFile& file, Wall now, Duration lead) {
  TG_ASSIGN(const auto published, lock_prices(tx));
  TG_ASSIGN(auto draft, read_draft(tx, file));
  TG_ASSIGN(auto plan, plan_publication(published.book, std::move(draft), now, lead));
  if (plan.is_empty()) return plan;

  for (const auto& calendar : plan.calendars) insert_calendar(tx, calendar);
  std::vector<std::string> changed;
  for (const auto& end : plan.ends) {
    move_end(tx, published.book, end);
    changed.push_back(std::to_string(end.id));
  }
  for (auto& version : plan.add) {
    version.id = insert_price_version(tx, version);
    changed.push_back(std::to_string(version.id));
  }
  for (const auto& end : plan.modifier_ends) tx.exec_params0(kMoveModifierEnd, end.id, pg::to_sql_if(end.effective_to));
  for (auto& modifier : plan.add_modifiers) modifier.id = insert_modifier(tx, modifier);
  if (!plan.modifier_ends.empty() || !plan.add_modifiers.empty()) changed.push_back("modifiers");
  announce(tx, changed);
  return plan;
}

Result<WithdrawalPlan> withdraw_price(pqxx::work& tx, std::int64_t version, Wall now, Duration lead) {
  TG_ASSIGN(const auto published, lock_prices(tx));
  TG_ASSIGN(auto plan, plan_withdrawal(published.book, version, now, lead));
  tx.exec_params0(kWithdraw, version, pg::to_sql(now));
  std::vector<std::string> changed = {std::to_string(version)};
  if (plan.resumed) {
    move_end(tx, published.book, *plan.resumed);
    changed.push_back(std::to_string(plan.resumed->id));
  }
  announce(tx, changed);
  return plan;
}

Result<price::Modifier> withdraw_modifier(pqxx::work& tx, std::int64_t modifier, Wall now, Duration lead) {
  TG_ASSIGN(const auto published, lock_prices(tx));
  TG_ASSIGN(auto found, plan_modifier_withdrawal(published.book, modifier, now, lead));
  tx.exec_params0(kWithdrawModifier, modifier, pg::to_sql(now));
  announce(tx, {"modifiers"});
  return found;
}

Result<std::shared_ptr<const PublishedPrices>> PriceCache::at_revision(pqxx::work& tx, std::int64_t revision) {
  const std::lock_guard lock(mutex_);
  if (latest_ == nullptr || latest_->revision < revision) {
    // A publication that committed between the statements of the load would show half of itself.
    tx.exec1("SELECT revision FROM price_state FOR SHARE");
    TG_ASSIGN(auto loaded, load_prices(tx));
    latest_ = std::make_shared<const PublishedPrices>(std::move(loaded));
  }
  return latest_;
}

}  // namespace tidegate::billing
