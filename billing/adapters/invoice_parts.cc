#include "billing/adapters/invoice_parts.h"

#include <fmt/format.h>

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

/// Earliest admission, before the period's begin, of a request that still counts as the period's own for the first
/// look.
constexpr auto kUsualDelay = std::chrono::hours(48);

/// Transactions of the span that made revenue. Issue and voiding of invoices only move what is here already.
constexpr const char* kSpan = R"sql(
  WITH span AS MATERIALIZED (
    SELECT t.id, t.source_type, t.note, (t.posted_at AT TIME ZONE $4)::date AS day,
           -sum(e.amount) FILTER (WHERE a.kind = 'revenue') AS revenue,
           coalesce(sum(e.amount) FILTER (WHERE a.kind = 'grant'), 0) AS granted
      FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.id JOIN ledger_accounts a ON a.id = e.account
     WHERE t.wallet_id = $1 AND t.posted_at >= $2 AND t.posted_at < $3
       AND t.source_type NOT IN ('invoice', 'invoice_void')
     GROUP BY t.id HAVING bool_or(a.kind = 'revenue')) )sql";

constexpr const char* kSums = R"sql(
  SELECT coalesce(sum(revenue), 0), coalesce(sum(granted), 0), coalesce(bool_and(source_type = 'usage_batch'), true) FROM span)sql";

/// A rating counts where it was posted and, with the sign turned, where it was voided.
constexpr const char* kRatings = R"sql(,
  ratings AS (
    SELECT l.posting AS tx, l.event_id, l.meter, l.price_version, l.band, l.micro_per_1m, l.mod_num, l.mod_den, l.quantity, l.amount
      FROM rated_lines l WHERE l.posting IN (SELECT id FROM span) AND l.event_id >= $5::uuid
    UNION ALL
    SELECT l.voided_by, l.event_id, l.meter, l.price_version, l.band, l.micro_per_1m, l.mod_num, l.mod_den, -l.quantity, -l.amount
      FROM rated_lines l WHERE l.voided_by IN (SELECT id FROM span) AND l.event_id >= $5::uuid) )sql";
constexpr const char* kParts = R"sql(
  SELECT u.completed_at < $2::timestamptz, u.project_id, u.model, r.band, r.meter, r.price_version, r.micro_per_1m, r.mod_num,
         r.mod_den, (u.completed_at AT TIME ZONE $4)::date - date '1970-01-01', u.api_key_id, sum(r.quantity), sum(r.amount)
    FROM ratings r JOIN usage_events u ON u.id = r.event_id
   WHERE u.tenant_id = $6 AND u.id >= $5::uuid
   GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)sql";
/// Discounts and free quotas: of a posting, but of no single request.
constexpr const char* kPostingLines = R"sql(
  SELECT l.meter, c.model, c.band, l.note, (l.hour AT TIME ZONE $4)::date - date '1970-01-01', sum(l.quantity), sum(l.amount)
    FROM span s JOIN posting_lines l ON l.posting = s.id JOIN usage_cells c ON c.id = l.cell GROUP BY 1, 2, 3, 4, 5)sql";
constexpr const char* kUnexplained = R"sql(
  SELECT s.source_type, s.note, s.day - date '1970-01-01', sum(s.revenue - coalesce(r.amount, 0) - coalesce(p.amount, 0))
    FROM span s LEFT JOIN (SELECT tx, sum(amount) AS amount FROM ratings GROUP BY 1) r ON r.tx = s.id
    LEFT JOIN (SELECT posting, sum(amount) AS amount FROM posting_lines GROUP BY 1) p ON p.posting = s.id
   WHERE s.revenue <> coalesce(r.amount, 0) + coalesce(p.amount, 0) GROUP BY 1, 2, 3)sql";
constexpr const char* kGrants = R"sql(
  SELECT a.grant_id, s.day - date '1970-01-01', -sum(e.amount)
    FROM span s JOIN ledger_entries e ON e.tx = s.id JOIN ledger_accounts a ON a.id = e.account AND a.kind = 'grant'
   GROUP BY 1, 2)sql";

/// The smallest version 7 id of an instant.
std::string id_floor(Wall instant) {
  const auto millis = static_cast<std::uint64_t>(std::max<std::int64_t>(0, unix_micros(instant) / 1000));
  Uuid id;
  for (int i = 0; i < 6; ++i) id.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
  return id.to_string();
}

struct Sums {
  Money revenue, granted;
  bool is_usage_only = true;
};
Sums load_sums(pqxx::work& tx, const LedgerSpan& span) {
  static const std::string kQuery = std::string(kSpan) + kSums;
  const auto row =
      tx.exec_params1(kQuery, pg::to_sql(span.wallet), pg::to_sql(span.begin), pg::to_sql(span.end), span.tz);
  return {pg::read_money(row[0]), pg::read_money(row[1]), pg::read_bool(row[2])};
}

std::vector<LinePart> load_usage(pqxx::work& tx, const LedgerSpan& span, const std::string& floor) {
  static const std::string kQuery = std::string(kSpan) + kRatings + kParts;
  std::vector<LinePart> out;
  for (const auto& row : tx.exec_params(kQuery, pg::to_sql(span.wallet), pg::to_sql(span.begin), pg::to_sql(span.end),
                                        span.tz, floor, pg::to_sql(span.tenant))) {
    LinePart part;
    part.key.kind = pg::read_bool(row[0]) ? LineKind::kCorrection : LineKind::kUsage;
    part.key.project = pg::read_id<ProjectId>(row[1]);
    part.key.model = pg::read_text(row[2]);
    part.key.band = pg::read_text(row[3]);
    part.key.meter = pg::read_text(row[4]);
    part.key.price_version = pg::read_int64(row[5]);
    part.key.micro_per_million = pg::read_int64(row[6]);
    part.key.mod_num = pg::read_int64(row[7]);
    part.key.mod_den = pg::read_int64(row[8]);
    part.day = pg::read_int64(row[9]);
    part.api_key = pg::read_id<ApiKeyId>(row[10]);
    part.quantity = pg::read_int128(row[11]);
    part.amount = pg::read_money(row[12]);
    out.push_back(std::move(part));
  }
  return out;
}

void add_unexplained(pqxx::work& tx, const LedgerSpan& span, const std::string& floor, std::vector<LinePart>& out) {
  static const std::string kQuery = std::string(kSpan) + kRatings + kUnexplained;
  for (const auto& row :
       tx.exec_params(kQuery, pg::to_sql(span.wallet), pg::to_sql(span.begin), pg::to_sql(span.end), span.tz, floor)) {
    LinePart part;
    part.key.kind = LineKind::kAdjustment;
    part.key.source = pg::read_text(row[0]);
    part.key.description = pg::read_text(row[1]);
    part.day = pg::read_int64(row[2]);
    part.amount = pg::read_money(row[3]);
    out.push_back(std::move(part));
  }
}

void add_posting_lines(pqxx::work& tx, const LedgerSpan& span, std::vector<LinePart>& out) {
  static const std::string kQuery = std::string(kSpan) + kPostingLines;
  for (const auto& row :
       tx.exec_params(kQuery, pg::to_sql(span.wallet), pg::to_sql(span.begin), pg::to_sql(span.end), span.tz)) {
    LinePart part;
    part.key.kind = LineKind::kAdjustment;
    part.key.source = pg::read_text(row[0]);
    const std::string note = pg::read_text(row[3]);
    part.key.description =
        fmt::format("{}, {} band{}{}", pg::read_text(row[1]), pg::read_text(row[2]), note.empty() ? "" : ": ", note);
    part.day = pg::read_int64(row[4]);
    part.quantity = pg::read_int128(row[5]);
    part.amount = pg::read_money(row[6]);
    out.push_back(std::move(part));
  }
}

void add_grants(pqxx::work& tx, const LedgerSpan& span, std::vector<LinePart>& out) {
  static const std::string kQuery = std::string(kSpan) + kGrants;
  for (const auto& row :
       tx.exec_params(kQuery, pg::to_sql(span.wallet), pg::to_sql(span.begin), pg::to_sql(span.end), span.tz)) {
    LinePart part;
    part.key.kind = LineKind::kCredit;
    part.key.source = "grant";
    part.key.description = pg::read_text(row[0]);
    part.day = pg::read_int64(row[1]);
    part.amount = pg::read_money(row[2]);
    out.push_back(std::move(part));
  }
}

Money sum_of(const std::vector<LinePart>& parts) {
  Money sum;
  for (const auto& part : parts) sum += part.amount;
  return sum;
}

}  // namespace

Money ledger_charges(pqxx::work& tx, const LedgerSpan& span) {
  const Sums sums = load_sums(tx, span);
  return sums.revenue - sums.granted;
}

Result<std::vector<LinePart>> load_parts(pqxx::work& tx, const LedgerSpan& span) {
  const Sums sums = load_sums(tx, span);
  // Almost always the requests of the span were admitted in it. Whether that is all of them the ledger tells, and only
  // then is the tenant's whole history read.
  auto parts = load_usage(tx, span, id_floor(span.begin - kUsualDelay));
  add_posting_lines(tx, span, parts);
  if (!sums.is_usage_only || sum_of(parts) != sums.revenue) {
    const std::string all = Uuid{}.to_string();
    parts = load_usage(tx, span, all);
    add_posting_lines(tx, span, parts);
    add_unexplained(tx, span, all, parts);
  }
  if (!sums.granted.is_zero()) add_grants(tx, span, parts);
  if (const Money sum = sum_of(parts); sum != sums.revenue - sums.granted) {
    return fail(
        Code::kDataLoss, "ledger_differs",
        fmt::format("wallet {}: the ledger charges {} from {} to {}, its lines come to {}; run tidegate reconcile",
                    span.wallet.to_string(), (sums.revenue - sums.granted).to_string(), format_rfc3339(span.begin),
                    format_rfc3339(span.end), sum.to_string()));
  }
  return parts;
}

}  // namespace tidegate::billing
