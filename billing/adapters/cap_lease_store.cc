#include "billing/adapters/cap_lease_store.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "base/pg/types.h"
#include "billing/adapters/open_epochs.h"
#include "billing/core/cap_rules.h"
#include "billing/core/lease_sizing.h"

namespace tidegate::billing {

namespace {

constexpr const char* kFindCap = R"sql(
  SELECT c.scope, c.scope = 'user' AND c.subject = '00000000-0000-0000-0000-000000000000', c.period,
         p.starts_at::text, p.ends_at::text
    FROM caps c JOIN tenants t ON t.id = c.tenant_id
   CROSS JOIN LATERAL cap_period(c.period, $2::timestamptz, t.billing_tz) p WHERE c.id = $1)sql";
constexpr const char* kOpenPeriod = R"sql(
  INSERT INTO cap_periods (id, cap_id, end_user, starts_at, ends_at, allowed)
  SELECT $1::uuid, c.id, $3::uuid, $4::timestamptz, $5::timestamptz, c.amount FROM caps c WHERE c.id = $2::uuid
  ON CONFLICT (cap_id, end_user, starts_at) DO NOTHING)sql";
constexpr const char* kLockPeriod = R"sql(
  SELECT id FROM cap_periods WHERE cap_id = $1 AND end_user = $2 AND starts_at = $3::timestamptz FOR NO KEY UPDATE)sql";
/// After the lock: a limit that is being changed is either seen here, or its change sees what we grant.
constexpr const char* kRoom = R"sql(
  SELECT c.amount - p.spent - p.leased, c.amount, t.currency, coalesce(pr.name, k.name),
         CASE WHEN isfinite(p.ends_at) THEN (extract(epoch FROM p.ends_at) * 1000000)::bigint END
    FROM cap_periods p JOIN caps c ON c.id = p.cap_id JOIN tenants t ON t.id = c.tenant_id
    LEFT JOIN projects pr ON c.scope = 'project' AND pr.id = c.subject
    LEFT JOIN api_keys k ON c.scope = 'key' AND k.id = c.subject
   WHERE p.id = $1)sql";
constexpr const char* kGrowCapLease = R"sql(
  INSERT INTO cap_leases (id, cap_period_id, gateway_id, epoch, amount, state, expires_at)
  VALUES ($1, $2, $3, $4, $5::numeric, 'open', $6)
  ON CONFLICT (gateway_id, epoch, cap_period_id) DO UPDATE
     SET amount = cap_leases.amount + EXCLUDED.amount, expires_at = greatest(cap_leases.expires_at, EXCLUDED.expires_at)
  RETURNING id, amount, (extract(epoch FROM expires_at) * 1000000)::bigint)sql";
/// `allowed` follows the limit, but never below what is out.
constexpr const char* kReserveOfCap = R"sql(
  UPDATE cap_periods p SET leased = p.leased + $2::numeric,
         allowed = greatest(c.amount, p.spent + p.leased + $2::numeric)
    FROM caps c WHERE c.id = p.cap_id AND p.id = $1 RETURNING c.amount - p.spent - p.leased)sql";
constexpr const char* kInsertCapMove = R"sql(
  INSERT INTO cap_lease_moves (id, cap_lease_id, kind, amount) VALUES ($1, $2, $3, $4::numeric))sql";
constexpr const char* kFindCapMove = R"sql(
  SELECT m.kind, m.amount, l.id, l.amount, (extract(epoch FROM l.expires_at) * 1000000)::bigint,
         c.amount - p.spent - p.leased,
         CASE WHEN isfinite(p.ends_at) THEN (extract(epoch FROM p.ends_at) * 1000000)::bigint END,
         l.gateway_id, l.epoch, p.cap_id, p.end_user
    FROM cap_lease_moves m JOIN cap_leases l ON l.id = m.cap_lease_id JOIN cap_periods p ON p.id = l.cap_period_id
    JOIN caps c ON c.id = p.cap_id WHERE m.id = $1)sql";
constexpr const char* kFindCapLease = R"sql(
  SELECT cap_period_id FROM cap_leases WHERE id = $1 AND gateway_id = $2 AND epoch = $3)sql";
constexpr const char* kLockPeriodById = R"sql(
  SELECT CASE WHEN isfinite(ends_at) THEN (extract(epoch FROM ends_at) * 1000000)::bigint END
    FROM cap_periods WHERE id = $1 FOR NO KEY UPDATE)sql";
constexpr const char* kLockCapLease =
    "SELECT state, amount - consumed FROM cap_leases WHERE id = $1 FOR NO KEY UPDATE";
constexpr const char* kShrinkCapLease = R"sql(
  UPDATE cap_leases SET amount = amount - $2::numeric WHERE id = $1
  RETURNING amount, (extract(epoch FROM expires_at) * 1000000)::bigint)sql";

constexpr const char* kLockPeriodsOfEpoch = R"sql(
  SELECT p.id FROM cap_periods p WHERE p.id IN (
    SELECT cap_period_id FROM cap_leases WHERE gateway_id = $1 AND epoch = $2 AND state = 'open')
   ORDER BY p.id FOR NO KEY UPDATE)sql";
constexpr const char* kGiveBackCaps = R"sql(
  UPDATE cap_periods p SET leased = p.leased - l.amount + l.consumed,
         allowed = greatest(c.amount, p.spent + p.leased - l.amount + l.consumed)
    FROM cap_leases l, caps c
   WHERE l.cap_period_id = p.id AND c.id = p.cap_id AND l.gateway_id = $1 AND l.epoch = $2 AND l.state = 'open')sql";
constexpr const char* kCloseCapLeases = R"sql(
  UPDATE cap_leases SET state = 'closed', amount = consumed WHERE gateway_id = $1 AND epoch = $2 AND state = 'open')sql";

constexpr const char* kLockPeriodsOfLeases = R"sql(
  SELECT p.id FROM cap_periods p WHERE p.id IN (SELECT cap_period_id FROM cap_leases WHERE id = ANY ($1::uuid[]))
   ORDER BY p.id FOR NO KEY UPDATE)sql";
constexpr const char* kCapLeases = R"sql(
  SELECT l.id, l.state, l.amount - l.consumed, c.tenant_id
    FROM cap_leases l JOIN cap_periods p ON p.id = l.cap_period_id JOIN caps c ON c.id = p.cap_id
   WHERE l.id = ANY ($1::uuid[]) AND l.gateway_id = $2 AND l.epoch = $3 ORDER BY l.id FOR NO KEY UPDATE OF l)sql";
constexpr const char* kConsumeCaps = R"sql(
  UPDATE cap_leases l SET consumed = l.consumed + a.amount
    FROM unnest($1::uuid[], $2::numeric[]) AS a(lease, amount) WHERE l.id = a.lease)sql";
constexpr const char* kSpend = R"sql(
  UPDATE cap_periods p SET spent = p.spent + a.amount, leased = p.leased - a.amount
    FROM (SELECT l.cap_period_id, sum(a.amount) AS amount
            FROM unnest($1::uuid[], $2::numeric[]) AS a(lease, amount) JOIN cap_leases l ON l.id = a.lease GROUP BY 1) a
   WHERE p.id = a.cap_period_id)sql";
constexpr const char* kInsertCapUses = R"sql(
  INSERT INTO usage_caps (event_id, cap_lease_id) SELECT * FROM unnest($1::uuid[], $2::uuid[]))sql";

struct PastCapMove {
  std::string kind, gateway;
  std::int64_t epoch = 0;
  Uuid cap, end_user;
  CapLeaseRow row;
};
std::optional<PastCapMove> find_cap_move(pqxx::work& tx, const Uuid& id) {
  const auto rows = tx.exec_params(kFindCapMove, pg::to_sql(id));
  if (rows.empty()) return std::nullopt;
  const auto& row = rows[0];
  PastCapMove move;
  move.kind = pg::read_text(row[0]);
  move.row.lease = {pg::read_id<LeaseId>(row[2]), WalletId(),
                    pg::read_money(row[3]),       pg::read_money(row[1]),
                    pg::read_wall(row[4]),        pg::read_money(row[5])};
  move.row.ends = pg::read_wall_if(row[6]);
  move.gateway = pg::read_text(row[7]);
  move.epoch = pg::read_int64(row[8]);
  move.cap = pg::read_uuid(row[9]);
  move.end_user = pg::read_uuid(row[10]);
  return move;
}

std::unexpected<Error> reached(const std::string& scope, const std::string& period, const pqxx::row& room) {
  const std::string name = pg::read_text(room[3]);
  const auto ends = pg::read_wall_if(room[4]);
  const Money left = std::max(pg::read_money(room[0]), Money());
  return fail(
      Code::kResourceExhausted, "budget_exceeded",
      fmt::format("the {} cap of this {}{} is {} {}; {} of it is left, less than this request may cost{}",
                  period, scope == "user" ? "end user" : scope, name.empty() ? "" : " (" + name + ")",
                  pg::read_money(room[1]).to_string(), pg::read_text(room[2]), left.to_string(),
                  ends ? "; it resets at " + format_rfc3339(*ends) : "; it does not reset"),
      "cap");
}

}  // namespace

Result<CapLeaseRow> acquire_cap_lease(pqxx::work& tx, const AcquireCapLease& request) {
  const auto epoch = tx.exec_params(kEpochIsOpen, request.gateway, request.epoch);
  if (epoch.empty()) {
    return fail(Code::kNotFound, "unknown_epoch",
                fmt::format("gateway {} has no epoch {}", request.gateway, request.epoch), "epoch");
  }
  const auto cap = tx.exec_params(kFindCap, pg::to_sql(request.cap), pg::to_sql(request.at));
  if (cap.empty()) {
    return fail(Code::kNotFound, "unknown_cap", fmt::format("there is no cap {}", request.cap.to_string()),
                "cap_id");
  }
  if (pg::read_bool(cap[0][1]) == request.end_user.is_nil()) {
    return fail(Code::kInvalidArgument, "bad_end_user",
                "end_user is set for the cap of every end user, and for no other", "end_user");
  }
  const std::string starts = pg::read_text(cap[0][3]), ends = pg::read_text(cap[0][4]);
  tx.exec_params0(kOpenPeriod, pg::to_sql(request.new_period), pg::to_sql(request.cap),
                  pg::to_sql(request.end_user), starts, ends);
  const auto locked =
      tx.exec_params1(kLockPeriod, pg::to_sql(request.cap), pg::to_sql(request.end_user), starts);
  const std::string period = pg::read_text(locked[0]);
  // Under the period's lock, so that the same grant twice at the same time is one grant.
  if (const auto past = find_cap_move(tx, request.grant)) {
    if (past->kind != "grant" || past->cap != request.cap || past->end_user != request.end_user ||
        past->gateway != request.gateway || past->epoch != request.epoch) {
      return fail(Code::kInvalidArgument, "grant_differs", "this grant id was used for another lease",
                  "grant_id");
    }
    return past->row;
  }
  if (!pg::read_bool(epoch[0][0])) {
    return fail(Code::kFailedPrecondition, "epoch_closed", fmt::format("epoch {} is closed", request.epoch),
                "epoch");
  }
  const auto room = tx.exec_params1(kRoom, period);
  LeaseRequest sizing{pg::read_money(room[0]), request.want, request.least};
  sizing.gateways = pg::read_int64(tx.exec1(kOpenGateways)[0]);
  const auto granted = size_lease(sizing);
  if (!granted) {
    if (granted.error().code != Code::kResourceExhausted) return fail(granted.error());
    return reached(pg::read_text(cap[0][0]), pg::read_text(cap[0][2]), room);
  }
  const auto lease = tx.exec_params1(kGrowCapLease, pg::to_sql(request.new_lease), period, request.gateway,
                                     request.epoch, pg::to_sql(*granted), pg::to_sql(request.expires));
  const auto left = tx.exec_params1(kReserveOfCap, period, pg::to_sql(*granted));
  tx.exec_params0(kInsertCapMove, pg::to_sql(request.grant), pg::read_text(lease[0]), "grant",
                  pg::to_sql(*granted));
  return CapLeaseRow{{pg::read_id<LeaseId>(lease[0]), WalletId(), pg::read_money(lease[1]), *granted,
                      pg::read_wall(lease[2]), pg::read_money(left[0])},
                     pg::read_wall_if(room[4])};
}

Result<CapLeaseRow> return_cap_lease(pqxx::work& tx, const ReturnLease& request) {
  if (request.amount <= Money())
    return fail(Code::kInvalidArgument, "bad_amount", "a return is greater than zero", "amount");
  const auto found = tx.exec_params(kFindCapLease, pg::to_sql(request.lease), request.gateway, request.epoch);
  if (found.empty()) {
    return fail(Code::kNotFound, "unknown_lease",
                fmt::format("epoch {} of {} has no cap lease {}", request.epoch, request.gateway,
                            request.lease.to_string()),
                "lease_id");
  }
  const std::string period = pg::read_text(found[0][0]);
  const auto locked = tx.exec_params1(kLockPeriodById, period);
  if (auto past = find_cap_move(tx, request.return_id)) {
    if (past->kind != "return" || past->row.lease.id != request.lease ||
        past->row.lease.granted != request.amount) {
      return fail(Code::kInvalidArgument, "return_differs", "this return id was used for another return",
                  "return_id");
    }
    past->row.lease.granted = -past->row.lease.granted;
    return past->row;
  }
  const auto lease = tx.exec_params1(kLockCapLease, pg::to_sql(request.lease));
  if (pg::read_text(lease[0]) != "open") {
    return fail(Code::kFailedPrecondition, "lease_closed",
                "the lease is closed: what it held is back already", "lease_id");
  }
  if (pg::read_money(lease[1]) < request.amount) {
    return fail(Code::kFailedPrecondition, "lease_overdrawn",
                fmt::format("the lease holds {} unspent, {} was returned",
                            pg::read_money(lease[1]).to_string(), request.amount.to_string()),
                "amount");
  }
  const auto shrunk = tx.exec_params1(kShrinkCapLease, pg::to_sql(request.lease), pg::to_sql(request.amount));
  const auto left = tx.exec_params1(kReserveOfCap, period, pg::to_sql(-request.amount));
  tx.exec_params0(kInsertCapMove, pg::to_sql(request.return_id), pg::to_sql(request.lease), "return",
                  pg::to_sql(request.amount));
  return CapLeaseRow{{request.lease, WalletId(), pg::read_money(shrunk[0]), -request.amount,
                      pg::read_wall(shrunk[1]), pg::read_money(left[0])},
                     pg::read_wall_if(locked[0])};
}

void close_cap_leases(pqxx::work& tx, const std::string& gateway, std::int64_t epoch) {
  tx.exec_params(kLockPeriodsOfEpoch, gateway, epoch);
  tx.exec_params0(kGiveBackCaps, gateway, epoch);
  tx.exec_params0(kCloseCapLeases, gateway, epoch);
}

Status charge_caps(pqxx::work& tx, const std::string& gateway, std::int64_t epoch,
                   const std::vector<RatedEvent>& events) {
  std::map<LeaseId, Money> charges;
  pg::ArrayLiteral event_ids, lease_of_event;
  for (const auto& rated : events) {
    if (rated.rated.total.is_zero()) continue;
    for (const LeaseId& lease : rated.event->cap_leases) {
      charges[lease] += rated.rated.total;
      event_ids.add(rated.event->request);
      lease_of_event.add(lease);
    }
  }
  if (charges.empty()) return {};
  pg::ArrayLiteral leases, amounts;
  for (const auto& [lease, amount] : charges) {
    leases.add(lease);
    amounts.add(amount);
  }
  tx.exec_params(kLockPeriodsOfLeases, leases.text());
  std::map<LeaseId, TenantId> tenants;
  for (const auto& row : tx.exec_params(kCapLeases, leases.text(), gateway, epoch)) {
    const auto lease = pg::read_id<LeaseId>(row[0]);
    const Money room = pg::read_money(row[2]);
    if (pg::read_text(row[1]) != "open" || room < charges.at(lease)) {
      return fail(Code::kFailedPrecondition, "lease_overdrawn",
                  fmt::format("cap lease {} holds {} unspent, the batch charges {}", lease.to_string(),
                              room.to_string(), charges.at(lease).to_string()),
                  "events.cap_lease_ids");
    }
    tenants.emplace(lease, pg::read_id<TenantId>(row[3]));
  }
  for (const auto& rated : events) {
    if (rated.rated.total.is_zero()) continue;
    for (const LeaseId& lease : rated.event->cap_leases) {
      const auto found = tenants.find(lease);
      if (found != tenants.end() && found->second == rated.event->tenant) continue;
      return fail(Code::kInvalidArgument, "unknown_lease",
                  fmt::format("request {}: cap lease {} is not one of epoch {} for its tenant",
                              rated.event->request.to_string(), lease.to_string(), epoch),
                  "events.cap_lease_ids");
    }
  }
  tx.exec_params0(kConsumeCaps, leases.text(), amounts.text());
  tx.exec_params0(kSpend, leases.text(), amounts.text());
  tx.exec_params0(kInsertCapUses, event_ids.text(), lease_of_event.text());
  return {};
}

}  // namespace tidegate::billing
