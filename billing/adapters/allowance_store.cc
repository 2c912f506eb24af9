#include "billing/adapters/allowance_store.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <tuple>

#include "base/pg/types.h"
#include "base/price/calendar_month.h"
#include "billing/adapters/account_store.h"

namespace tidegate::billing {

namespace {

constexpr const char* kLoadPlans = R"sql(
  SELECT p.id, p.name, p.kind, p.tenant, p.model, p.currency, array_to_string(p.meters, ','), p.free_tokens,
         (extract(epoch FROM lower(p.effective)) * 1000000)::bigint, (extract(epoch FROM upper(p.effective)) * 1000000)::bigint,
         coalesce((SELECT string_agg(t.over_tokens || '=' || t.micro_per_1m, ',' ORDER BY t.over_tokens) FROM allowance_tiers t
                    WHERE t.plan = p.id), '')
    FROM allowance_plans p ORDER BY p.id)sql";
constexpr const char* kInsertPlan = R"sql(
  INSERT INTO allowance_plans (name, kind, tenant, model, currency, meters, free_tokens, effective)
  VALUES ($1, $2, $3, $4, $5, $6::text[], $7, tstzrange($8::timestamptz, nullif($9, '')::timestamptz)) RETURNING id)sql";
constexpr const char* kInsertTier = "INSERT INTO allowance_tiers (plan, over_tokens, micro_per_1m) VALUES ($1, $2, $3)";
constexpr const char* kMovePlanEnd = R"sql(
  UPDATE allowance_plans SET effective = tstzrange(lower(effective), nullif($2, '')::timestamptz) WHERE id = $1)sql";
constexpr const char* kZones = "SELECT id, billing_tz FROM tenants WHERE id = ANY ($1::uuid[])";
constexpr const char* kCounts = R"sql(
  SELECT c.plan, c.wallet_id, c.month, c.counted FROM allowance_counts c
    JOIN unnest($1::bigint[], $2::uuid[], $3::text[]) AS a(plan, wallet, month)
      ON c.plan = a.plan AND c.wallet_id = a.wallet AND c.month = a.month)sql";
constexpr const char* kAddCounts = R"sql(
  INSERT INTO allowance_counts AS c (plan, wallet_id, month, counted, given)
  SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[], $5::numeric[])
  ON CONFLICT (plan, wallet_id, month) DO UPDATE SET counted = c.counted + EXCLUDED.counted, given = c.given + EXCLUDED.given)sql";

AllowancePlan read_plan_row(const pqxx::row& row) {
  AllowancePlan plan;
  plan.id = pg::read_int64(row[0]);
  plan.name = pg::read_text(row[1]);
  plan.kind = parse_allowance_kind(pg::read_text(row[2])).value_or(AllowanceKind::kGraduated);
  plan.tenant = pg::read_text(row[3]);
  plan.model = pg::read_text(row[4]);
  plan.currency = pg::read_text(row[5]);
  for (const auto& meter : pg::read_list(row[6], ',')) {
    if (const auto known = price::parse_meter(meter)) plan.meters.push_back(*known);
  }
  plan.free_tokens = pg::read_int64(row[7]);
  plan.effective_from = pg::read_wall(row[8]);
  plan.effective_to = pg::read_wall_if(row[9]);
  for (const auto& piece : pg::read_list(row[10], ',')) {
    const auto equals = piece.find('=');
    plan.tiers.push_back({std::stoll(piece.substr(0, equals)), Rate::from_micro_per_million(std::stoll(piece.substr(equals + 1)))});
  }
  return plan;
}

/// One plan's month of one wallet.
using CountKey = std::tuple<std::int64_t, WalletId, std::string>;
struct Count {
  std::int64_t prior = 0;
  std::int64_t added = 0;
  Money given;
};

struct Covered {
  const RatedEvent* rated = nullptr;
  const AllowancePlan* plan = nullptr;
  CountKey key;
};

Result<std::vector<Covered>> covered_events(pqxx::work& tx, const std::vector<AllowancePlan>& plans,
                                            const std::vector<RatedEvent>& events) {
  std::vector<Covered> out;
  std::set<TenantId> tenants;
  for (const RatedEvent& rated : events) {
    const UsageEvent& event = *rated.event;
    const AllowancePlan* plan =
        plan_of(plans, rated.currency, event.tenant.to_string(), event.model, rated.rated.priced_at);
    if (plan == nullptr || rated.rated.total.is_zero()) continue;
    out.push_back({&rated, plan, {plan->id, event.wallet, ""}});
    tenants.insert(event.tenant);
  }
  if (out.empty()) return out;
  pg::ArrayLiteral ids;
  for (const TenantId& tenant : tenants) ids.add(tenant);
  std::map<TenantId, std::string> zones;
  for (const auto& row : tx.exec_params(kZones, ids.text())) {
    zones[pg::read_id<TenantId>(row[0])] = pg::read_text(row[1]);
  }
  for (Covered& covered : out) {
    const UsageEvent& event = *covered.rated->event;
    TG_ASSIGN(const auto month, price::month_of(zones.at(event.tenant), event.instants.completed));
    std::get<2>(covered.key) = month.label;
  }
  return out;
}

std::map<CountKey, Count> load_counts(pqxx::work& tx, const std::vector<Covered>& covered) {
  std::map<CountKey, Count> out;
  for (const Covered& each : covered) out.try_emplace(each.key);
  pg::ArrayLiteral plans, wallets, months;
  for (const auto& [key, count] : out) {
    plans.add(std::get<0>(key));
    wallets.add(std::get<1>(key));
    months.add(std::get<2>(key));
  }
  for (const auto& row : tx.exec_params(kCounts, plans.text(), wallets.text(), months.text())) {
    out.at({pg::read_int64(row[0]), pg::read_id<WalletId>(row[1]), pg::read_text(row[2])}).prior = pg::read_int64(row[3]);
  }
  return out;
}

void save_counts(pqxx::work& tx, const std::map<CountKey, Count>& counts) {
  pg::ArrayLiteral plans, wallets, months, counted, given;
  for (const auto& [key, count] : counts) {
    plans.add(std::get<0>(key));
    wallets.add(std::get<1>(key));
    months.add(std::get<2>(key));
    counted.add(count.added);
    given.add(count.given);
  }
  tx.exec_params0(kAddCounts, plans.text(), wallets.text(), months.text(), counted.text(), given.text());
}

}  // namespace

std::vector<AllowancePlan> load_allowances(pqxx::work& tx) {
  std::vector<AllowancePlan> out;
  for (const auto& row : tx.exec(kLoadPlans)) out.push_back(read_plan_row(row));
  return out;
}

Result<AllowancePublication> publish_allowances(pqxx::work& tx, std::vector<AllowancePlan> wanted, Wall now) {
  // The lock of price publications: processes notice both by one revision.
  tx.exec1("SELECT revision FROM price_state FOR UPDATE");
  for (AllowancePlan& plan : wanted) {
    if (plan.tenant.empty()) continue;
    TG_ASSIGN(const auto tenant, find_tenant(tx, plan.tenant));
    plan.tenant = tenant.id.to_string();
  }
  TG_ASSIGN(auto publication, plan_allowances(load_allowances(tx), std::move(wanted), now));
  if (publication.add.empty() && publication.ends.empty()) return publication;
  for (AllowancePlan& plan : publication.add) {
    pg::ArrayLiteral meters;
    for (const auto meter : plan.meters) meters.add(std::string(price::meter_name(meter)));
    const auto row = tx.exec_params1(kInsertPlan, plan.name, std::string(allowance_kind_name(plan.kind)), plan.tenant, plan.model,
                                     plan.currency, meters.text(), plan.free_tokens, pg::to_sql(plan.effective_from),
                                     pg::to_sql_if(plan.effective_to));
    plan.id = pg::read_int64(row[0]);
    for (const QuantityTier& tier : plan.tiers) {
      tx.exec_params0(kInsertTier, plan.id, tier.over, tier.rate.micro_per_million());
    }
  }
  for (const AllowanceEnd& end : publication.ends) tx.exec_params0(kMovePlanEnd, end.id, pg::to_sql_if(end.effective_to));
  tx.exec0("UPDATE price_state SET revision = revision + 1");
  return publication;
}

Status apply_allowances(pqxx::work& tx, const std::vector<AllowancePlan>& plans, const std::vector<RatedEvent>& events,
                        BatchEffects& effects) {
  if (plans.empty()) return {};
  TG_ASSIGN(const auto covered, covered_events(tx, plans, events));
  if (covered.empty()) return {};
  auto counts = load_counts(tx, covered);
  std::map<std::pair<WalletId, std::tuple<CellKey, Wall, std::int64_t>>, ExtraLine> lines;
  for (const auto& [rated, plan, key] : covered) {
    const UsageEvent& event = *rated->event;
    Count& count = counts.at(key);
    const Allowance allowance = allowance_of(*plan, count.prior + count.added, rated->rated);
    count.added += allowance.counted;
    count.given += allowance.amount;
    if (allowance.amount.is_zero()) continue;
    const Wall hour = std::chrono::floor<std::chrono::hours>(event.instants.completed);
    const CellKey cell{event.tenant, event.project, event.key,          event.model,
                       event.region, event.pool,    rated->rated.band, rated->currency};
    ExtraLine& line = lines[{event.wallet, {cell, hour, plan->id}}];
    line.cell = cell;
    line.hour = hour;
    line.meter = std::string(allowance_kind_name(plan->kind));
    line.quantity += allowance.counted;
    line.amount -= allowance.amount;
    line.note = plan->name;
  }
  for (auto& [key, line] : lines) effects.wallets.at(key.first).extra.push_back(std::move(line));
  save_counts(tx, counts);
  return {};
}

}  // namespace tidegate::billing
