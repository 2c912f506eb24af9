#include "billing/adapters/rerate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/pg/binary_array.h"
#include "base/pg/types.h"
#include "billing/adapters/change_log.h"
#include "billing/adapters/posting_store.h"
#include "billing/adapters/stored_usage.h"
#include "billing/adapters/usage_rows.h"

namespace tidegate::billing {

namespace {

using pg::BinaryArray;
using pg::ElementType;

constexpr const char* kInsertRun = R"sql(
  INSERT INTO rerate_runs (id, from_at, to_at, model, allow_debit, actor, note, started_at)
  VALUES ($1, $2::timestamptz, $3::timestamptz, $4, $5::boolean, $6, $7, $8::timestamptz) ON CONFLICT DO NOTHING)sql";
constexpr const char* kFindRun = R"sql(
  SELECT finished_at IS NOT NULL, scanned, changed, dearer, unpriced, cursor,
         from_at = $2::timestamptz AND to_at = $3::timestamptz AND model = $4 AND allow_debit = $5::boolean
    FROM rerate_runs WHERE id = $1 FOR UPDATE)sql";
constexpr const char* kFindTotals = "SELECT currency, old_amount, new_amount FROM rerate_totals WHERE run = $1";
/// Two runs at a time would each void the same rating; one waits.
constexpr const char* kTakeTurns = "SELECT pg_advisory_xact_lock(hashtext('tidegate_rerate'))";

constexpr const char* kInsertRatings = R"sql(
  INSERT INTO usage_reratings (run, event_id, rating_no, tariff, priced_at, old_amount, amount, posting, reversal)
  SELECT $1::uuid, r.* FROM unnest($2::uuid[], $3::int[], $4::int[], $5::timestamptz[], $6::numeric[], $7::numeric[], $8::uuid[],
                                   $9::uuid[]) AS r)sql";
constexpr const char* kSaveRun = R"sql(
  UPDATE rerate_runs SET scanned = $2, changed = $3, dearer = $4, unpriced = $5, cursor = $6,
         finished_at = CASE WHEN $7::boolean THEN $8::timestamptz END WHERE id = $1)sql";
constexpr const char* kSaveTotals = R"sql(
  INSERT INTO rerate_totals (run, currency, old_amount, new_amount) VALUES ($1, $2, $3::numeric, $4::numeric)
  ON CONFLICT (run, currency) DO UPDATE SET old_amount = EXCLUDED.old_amount, new_amount = EXCLUDED.new_amount)sql";

/// A stored event and the rating that takes the place of the one in force.
struct Changed {
  StoredUsage usage;
  price::RatedRequest rated;
};

bool is_same(const StoredUsage& usage, const price::RatedRequest& rated) {
  if (rated.minimum_top_up != usage.minimum) return false;
  for (std::size_t meter = 0; meter < price::kMeterCount; ++meter) {
    if (rated.lines[meter].amount != usage.lines[meter]) return false;
  }
  return true;
}

/// The events of the next step that change; counts all of them.
Result<std::vector<Changed>> find_changes(pqxx::work& tx, const RerateRequest& request, const UsageContext& context,
                                         RerateProgress& progress) {
  const auto revision = pg::read_int64(tx.exec1("SELECT revision FROM price_state WHERE only_row")[0]);
  TG_ASSIGN(const auto prices, context.prices->at_revision(tx, revision));
  auto events = load_stored_usage(tx, {request.from, request.to, request.model}, progress.cursor, kRerateBatch);
  std::vector<Changed> changes;
  for (auto& event : events) {
    ++progress.scanned;
    progress.cursor = event.id;
    auto rated = rate_stored(prices->book, event);
    if (!rated) {
      ++progress.unpriced;
      continue;
    }
    if (is_same(event, *rated)) continue;
    if (event.total() < rated->total && !request.allow_debit) {
      ++progress.dearer;
      continue;
    }
    ++progress.changed;
    auto& totals = progress.totals[event.cell.currency];
    totals.before += event.total();
    totals.after += rated->total;
    changes.push_back({std::move(event), *std::move(rated)});
  }
  progress.is_finished = events.size() < kRerateBatch;
  return changes;
}

/// Per wallet: what is taken back and what is charged instead.
struct Net {
  std::string currency;
  Money before, after;
  Uuid reversal, posting;
};

std::map<WalletId, Net> net_of(const std::vector<Changed>& changes, IdSource& ids) {
  std::map<WalletId, Net> out;
  for (const auto& event : changes) {
    Net& net = out[event.usage.wallet];
    net.currency = event.usage.cell.currency;
    net.before += event.usage.total();
    net.after += event.rated.total;
  }
  for (auto& [wallet, net] : out) {
    net.reversal = ids.next();
    net.posting = ids.next();
  }
  return out;
}

void post_corrections(pqxx::work& tx, const RerateRequest& request, const Uuid& first,
                      const std::map<WalletId, Net>& nets, const UsageContext& context) {
  std::vector<LedgerTx> transactions;
  std::vector<WalletMove> moves;
  std::vector<std::string> changed;
  for (const auto& [wallet, net] : nets) {
    auto add = [&](const Uuid& id, const char* part, std::vector<Entry> entries) {
      LedgerTx transaction{
          id,
          "rerating",
          fmt::format("{}/{}/{}/{}", request.run.to_string(), first.to_string(), wallet.to_string(), part),
          wallet,
          net.currency,
          context.now,
          request.note,
          std::nullopt,
          std::move(entries),
          {}};
      transaction.actor = request.actor;
      transactions.push_back(std::move(transaction));
    };
    // What a grant paid comes back as paid-in money: the grant may have expired meanwhile.
    if (!net.before.is_zero())
      add(net.reversal, "void", {{AccountKind::kPrepaid, -net.before, {}}, {AccountKind::kRevenue, net.before, {}}});
    if (!net.after.is_zero())
      add(net.posting, "new", {{AccountKind::kPrepaid, net.after, {}}, {AccountKind::kRevenue, -net.after, {}}});
    moves.push_back({wallet, net.before - net.after, Money()});
    changed.push_back(wallet.to_string());
  }
  write_ledger(tx, transactions, context.now, *context.dimensions);
  move_wallets(tx, moves);
  append_changes(tx, ChangeKind::kWallet, changed);
}

void store_ratings(pqxx::work& tx, const RerateRequest& request, const std::vector<Changed>& changes,
                   const std::vector<std::int32_t>& tariffs, const std::map<WalletId, Net>& nets) {
  BinaryArray event(ElementType::kUuid), rating(ElementType::kInt4), tariff(ElementType::kInt4),
      priced(ElementType::kTimestamptz), before(ElementType::kNumeric), after(ElementType::kNumeric),
      posting(ElementType::kUuid), reversal(ElementType::kUuid);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& [usage, rated] = changes[i];
    const Net& net = nets.at(usage.wallet);
    event.add(usage.id);
    rating.add(usage.rating_no + 1);
    tariff.add(tariffs[i]);
    priced.add(rated.priced_at);
    before.add(usage.total());
    after.add(rated.total);
    rated.total.is_zero() ? posting.add_null() : posting.add(net.posting);
    usage.total().is_zero() ? reversal.add_null() : reversal.add(net.reversal);
  }
  tx.exec_params0(kInsertRatings, pg::to_sql(request.run), event.param(), rating.param(), tariff.param(),
                  priced.param(), before.param(), after.param(), posting.param(), reversal.param());
}

/// The old lines leave their hours, the new ones come in.
std::map<HourlyKey, HourlySum> hours_of(const std::vector<Changed>& changes) {
  std::map<HourlyKey, HourlySum> out;
  for (const auto& [usage, rated] : changes) {
    const Wall hour = std::chrono::floor<std::chrono::hours>(usage.instants.completed);
    HourlySum& old = out[{usage.cell, hour}];
    for (std::size_t meter = 0; meter < price::kMeterCount; ++meter) {
      old.quantity[meter] -= usage.tokens.of(price::kMeters[meter]);
      old.amount[meter] -= usage.lines[meter];
    }
    old.minimum -= usage.minimum;
    CellKey cell = usage.cell;
    cell.band = rated.band;
    HourlySum& fresh = out[{cell, hour}];
    for (std::size_t meter = 0; meter < price::kMeterCount; ++meter) {
      fresh.quantity[meter] += rated.lines[meter].quantity;
      fresh.amount[meter] += rated.lines[meter].amount;
    }
    fresh.minimum += rated.minimum_top_up;
  }
  return out;
}

void apply_changes(pqxx::work& tx, const RerateRequest& request, const std::vector<Changed>& changes,
                   const UsageContext& context) {
  std::vector<RatedEvent> rated;
  for (const auto& change : changes) rated.push_back({nullptr, change.rated, change.usage.cell.currency});
  const auto tariffs = context.dimensions->tariffs(tx, rated, context.tzdata);
  const auto hours = hours_of(changes);
  std::vector<CellKey> cells;
  for (const auto& [key, sum] : hours) cells.push_back(key.first);
  const auto numbers = context.dimensions->cells(tx, cells);
  const auto nets = net_of(changes, *context.ids);
  std::vector<WalletId> wallets;
  for (const auto& [wallet, net] : nets) wallets.push_back(wallet);
  lock_wallets(tx, wallets);
  post_corrections(tx, request, changes.front().usage.id, nets, context);
  store_ratings(tx, request, changes, tariffs, nets);
  add_hours(tx, hours, numbers);
}

void save(pqxx::work& tx, const RerateRequest& request, const RerateProgress& progress, Wall now) {
  tx.exec_params0(kSaveRun, pg::to_sql(request.run), progress.scanned, progress.changed, progress.dearer,
                  progress.unpriced, pg::to_sql(progress.cursor), progress.is_finished ? "t" : "f", pg::to_sql(now));
  for (const auto& [currency, totals] : progress.totals) {
    tx.exec_params0(kSaveTotals, pg::to_sql(request.run), currency, pg::to_sql(totals.before),
                    pg::to_sql(totals.after));
  }
}

Result<RerateProgress> load(pqxx::work& tx, const RerateRequest& request) {
  const auto rows = tx.exec_params(kFindRun, pg::to_sql(request.run), pg::to_sql(request.from), pg::to_sql(request.to),
                                   request.model, request.allow_debit ? "t" : "f");
  if (rows.empty()) return fail(Code::kNotFound, "unknown_run", "the run was not started", "run_id");
  const auto& row = rows[0];
  if (!pg::read_bool(row[6])) {
    return fail(Code::kAlreadyExists, "run_differs",
                fmt::format("run {} was started with another range, model or permission; use a new id",
                            request.run.to_string()),
                "run_id");
  }
  RerateProgress out{pg::read_bool(row[0]),  pg::read_int64(row[1]), pg::read_int64(row[2]),
                     pg::read_int64(row[3]), pg::read_int64(row[4]), {},
                     pg::read_uuid(row[5])};
  for (const auto& total : tx.exec_params(kFindTotals, pg::to_sql(request.run))) {
    out.totals[pg::read_text(total[0])] = {pg::read_money(total[1]), pg::read_money(total[2])};
  }
  return out;
}

}  // namespace

Result<RerateProgress> start_rerate(pqxx::work& tx, const RerateRequest& request, Wall now) {
  if (request.to <= request.from) {
    return fail(Code::kInvalidArgument, "bad_range", "the range is empty: give from before to (it is half-open)",
                "to_us");
  }
  if (request.note.empty() || request.actor.empty()) {
    return fail(Code::kInvalidArgument, "bad_note", "say who re-rates and why", "note");
  }
  tx.exec_params0(kInsertRun, pg::to_sql(request.run), pg::to_sql(request.from), pg::to_sql(request.to), request.model,
                  request.allow_debit ? "t" : "f", request.actor, request.note, pg::to_sql(now));
  return load(tx, request);
}

Result<RerateProgress> rerate_step(pqxx::work& tx, const RerateRequest& request, const UsageContext& context) {
  tx.exec1(kTakeTurns);
  TG_ASSIGN(auto progress, load(tx, request));
  if (progress.is_finished) return progress;
  TG_ASSIGN(const auto changes, find_changes(tx, request, context, progress));
  if (!changes.empty()) apply_changes(tx, request, changes, context);
  save(tx, request, progress, context.now);
  return progress;
}

Result<RerateProgress> rerate_dry_step(pqxx::work& tx, const RerateRequest& request, const RerateProgress& before,
                                       const UsageContext& context) {
  RerateProgress progress = before;
  TG_ASSIGN(const auto changes, find_changes(tx, request, context, progress));
  return progress;
}

}  // namespace tidegate::billing
