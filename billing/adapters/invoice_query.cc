#include "billing/adapters/invoice_query.h"

#include <fmt/format.h>

#include <map>

#include "base/pg/types.h"

namespace tidegate::billing {

const char* const kInvoiceSelect = R"sql(
  SELECT i.id, i.wallet_id, i.tenant_id, t.name, i.currency, i.period_label, i.billing_tz, i.status,
         (extract(epoch FROM lower(i.period)) * 1000000)::bigint, (extract(epoch FROM upper(i.period)) * 1000000)::bigint,
         i.subtotal_exact, i.subtotal, i.tax, i.total, i.decimals, i.issuer, i.seller_name, i.seller_address, i.seller_tax_id,
         i.buyer_name, i.buyer_address, i.buyer_tax_id, i.tax_name, i.tax_num, i.tax_den,
         (extract(epoch FROM i.created_at) * 1000000)::bigint, i.number, (extract(epoch FROM i.issued_at) * 1000000)::bigint,
         i.credit_note, (extract(epoch FROM i.voided_at) * 1000000)::bigint, i.void_reason, i.replaces
    FROM invoices i JOIN tenants t ON t.id = i.tenant_id )sql";

namespace {

constexpr const char* kLines = R"sql(
  SELECT l.line, l.kind, l.project_id, p.name, l.model, l.band, l.meter, l.price_version, v.book, l.micro_per_1m, l.mod_num,
         l.mod_den, l.source, l.description, l.quantity, l.amount
    FROM invoice_lines l LEFT JOIN projects p ON p.id = l.project_id LEFT JOIN price_versions v ON v.id = l.price_version
   WHERE l.invoice = $1 ORDER BY l.line)sql";
constexpr const char* kPartsOf = R"sql(
  SELECT line, day - date '1970-01-01', api_key_id, quantity, amount FROM invoice_parts WHERE invoice = $1
   ORDER BY line, day, api_key_id)sql";
constexpr const char* kFindLine = R"sql(
  SELECT kind, project_id, model, band, meter, price_version, micro_per_1m, mod_num, mod_den FROM invoice_lines
   WHERE invoice = $1 AND line = $2)sql";
/// The requests of a line are found by what makes the line, and counted where the invoice counted them: in the
/// transactions posted in its period. `is_late` tells corrections from usage.
constexpr const char* kLineRequests = R"sql(
  WITH picked AS (
    SELECT u.id, u.api_key_id, u.completed_at FROM usage_events u
     WHERE u.tenant_id = $1 AND u.project_id = $2 AND u.model = $3 AND (u.completed_at < $8::timestamptz) = $10::boolean
       AND u.id > $11::uuid),
  shares AS (
    SELECT u.id, u.api_key_id, u.completed_at, l.quantity, l.amount, false AS is_reversal, t.id AS tx, l.rating_no
      FROM picked u JOIN rated_lines l ON l.event_id = u.id JOIN ledger_tx t ON t.id = l.posting
     WHERE l.meter = $4 AND l.band = $5 AND l.price_version = $6 AND l.micro_per_1m = $7 AND l.mod_num = $12 AND l.mod_den = $13
       AND t.wallet_id = $14 AND t.posted_at >= $8 AND t.posted_at < $9
    UNION ALL
    SELECT u.id, u.api_key_id, u.completed_at, -l.quantity, -l.amount, true, t.id, l.rating_no
      FROM picked u JOIN rated_lines l ON l.event_id = u.id JOIN ledger_tx t ON t.id = l.voided_by
     WHERE l.meter = $4 AND l.band = $5 AND l.price_version = $6 AND l.micro_per_1m = $7 AND l.mod_num = $12 AND l.mod_den = $13
       AND t.wallet_id = $14 AND t.posted_at >= $8 AND t.posted_at < $9)
  SELECT id, api_key_id, (extract(epoch FROM completed_at) * 1000000)::bigint, quantity, amount, is_reversal, tx
    FROM shares WHERE quantity <> 0 OR amount <> 0
   ORDER BY id, is_reversal, rating_no FETCH FIRST $15 ROWS WITH TIES)sql";
constexpr const char* kKeyNames = R"sql(
  SELECT k.id, k.name, k.public_id FROM api_keys k JOIN projects p ON p.id = k.project_id WHERE p.tenant_id = $1)sql";
constexpr const char* kPayments = R"sql(
  SELECT t.id, (extract(epoch FROM t.posted_at) * 1000000)::bigint, t.note, -sum(e.amount)
    FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.id JOIN ledger_accounts a ON a.id = e.account AND a.kind = 'prepaid'
   WHERE t.wallet_id = $1 AND t.posted_at >= $2 AND t.posted_at < $3 AND t.source_type = 'top_up'
   GROUP BY t.id ORDER BY t.posted_at, t.id)sql";

constexpr const char* kNextIssued = R"sql(
  SELECT id FROM invoices
   WHERE status = 'issued' AND ($1 = '' OR tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR id > nullif($2, '')::uuid)
     AND ($3 = 0 OR lower(period) >= 'epoch'::timestamptz + $3 * interval '1 microsecond')
     AND ($4 = 0 OR lower(period) < 'epoch'::timestamptz + $4 * interval '1 microsecond')
   ORDER BY id LIMIT 1)sql";

template <typename IdType>
IdType read_id_or_nil(const pqxx::field& field) {
  return field.is_null() ? IdType{} : pg::read_id<IdType>(field);
}

}  // namespace

InvoiceRow read_invoice(const pqxx::row& row) {
  InvoiceRow out;
  out.id = pg::read_uuid(row[0]);
  out.wallet = pg::read_id<WalletId>(row[1]);
  out.tenant = pg::read_id<TenantId>(row[2]);
  out.tenant_name = pg::read_text(row[3]);
  out.currency = pg::read_text(row[4]);
  out.month = pg::read_text(row[5]);
  out.tz = pg::read_text(row[6]);
  out.status = pg::read_text(row[7]);
  out.begin = pg::read_wall(row[8]);
  out.end = pg::read_wall(row[9]);
  out.totals.subtotal_exact = pg::read_money(row[10]);
  out.totals.subtotal = pg::read_money(row[11]);
  out.totals.rounding = out.totals.subtotal - out.totals.subtotal_exact;
  out.totals.tax = pg::read_money(row[12]);
  out.totals.total = pg::read_money(row[13]);
  out.decimals = static_cast<int>(pg::read_int64(row[14]));
  out.issuer = pg::read_text(row[15]);
  out.seller = {pg::read_text(row[16]), pg::read_text(row[17]), pg::read_text(row[18])};
  out.buyer = {pg::read_text(row[19]), pg::read_text(row[20]), pg::read_text(row[21])};
  out.tax_name = pg::read_text(row[22]);
  out.tax_rate = TaxRate{pg::read_int64(row[23]), pg::read_int64(row[24])};
  out.created = pg::read_wall(row[25]);
  out.number = pg::read_text(row[26]);
  out.issued = pg::read_wall_if(row[27]);
  out.credit_note = pg::read_text(row[28]);
  out.voided = pg::read_wall_if(row[29]);
  out.void_reason = pg::read_text(row[30]);
  if (!row[31].is_null()) out.replaces = pg::read_uuid(row[31]);
  return out;
}

Result<InvoiceRow> find_invoice(pqxx::work& tx, const std::string& invoice) {
  static const std::string kFind =
      std::string(kInvoiceSelect) + "WHERE i.id::text = $1 OR i.number = $1 OR i.credit_note = $1";
  const auto rows = tx.exec_params(kFind, invoice);
  if (!rows.empty()) return read_invoice(rows[0]);
  return fail(Code::kNotFound, "unknown_invoice", fmt::format("there is no invoice {}", invoice), "invoice");
}

std::vector<InvoiceRow> list_invoices(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string(kInvoiceSelect) + R"sql(
    WHERE ($1 = '' OR i.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR i.id < nullif($2, '')::uuid)
    ORDER BY i.id DESC LIMIT $3)sql";
  std::vector<InvoiceRow> out;
  for (const auto& row : tx.exec_params(kList, tenant ? tenant->to_string() : "",
                                        page.after ? page.after->to_string() : "", page.limit)) {
    out.push_back(read_invoice(row));
  }
  return out;
}

std::optional<Uuid> next_issued(pqxx::work& tx, const ExportFilter& filter) {
  const auto rows = tx.exec_params(kNextIssued, filter.tenant ? filter.tenant->to_string() : "", filter.after,
                                   filter.from_us, filter.to_us);
  if (rows.empty()) return std::nullopt;
  return pg::read_uuid(rows[0][0]);
}

std::vector<InvoiceLineRow> load_lines(pqxx::work& tx, const Uuid& invoice, bool with_parts) {
  std::vector<InvoiceLineRow> out;
  std::map<std::int64_t, std::size_t> at;
  for (const auto& row : tx.exec_params(kLines, pg::to_sql(invoice))) {
    InvoiceLineRow line;
    line.number = static_cast<int>(pg::read_int64(row[0]));
    LineKey& key = line.line.key;
    key.kind = parse_line_kind(pg::read_text(row[1])).value();
    key.project = read_id_or_nil<ProjectId>(row[2]);
    line.project_name = pg::read_text(row[3]);
    key.model = pg::read_text(row[4]);
    key.band = pg::read_text(row[5]);
    key.meter = pg::read_text(row[6]);
    key.price_version = row[7].is_null() ? 0 : pg::read_int64(row[7]);
    line.price_book = pg::read_text(row[8]);
    key.micro_per_million = pg::read_int64(row[9]);
    key.mod_num = pg::read_int64(row[10]);
    key.mod_den = pg::read_int64(row[11]);
    key.source = pg::read_text(row[12]);
    key.description = pg::read_text(row[13]);
    line.line.quantity = pg::read_int128(row[14]);
    line.line.amount = pg::read_money(row[15]);
    at.emplace(line.number, out.size());
    out.push_back(std::move(line));
  }
  if (!with_parts) return out;
  for (const auto& row : tx.exec_params(kPartsOf, pg::to_sql(invoice))) {
    InvoiceLine& line = out.at(at.at(pg::read_int64(row[0]))).line;
    line.parts.push_back({line.key, pg::read_int64(row[1]), pg::read_id<ApiKeyId>(row[2]), pg::read_int128(row[3]),
                          pg::read_money(row[4])});
  }
  return out;
}

Result<std::vector<LineRequest>> list_line_requests(pqxx::work& tx, const InvoiceRow& invoice, int line,
                                                    const PageOf& page) {
  const auto rows = tx.exec_params(kFindLine, pg::to_sql(invoice.id), line);
  if (rows.empty()) {
    return fail(Code::kNotFound, "unknown_line", fmt::format("the invoice has no line {}", line), "line");
  }
  const auto& key = rows[0];
  const auto kind = parse_line_kind(pg::read_text(key[0])).value();
  if (kind != LineKind::kUsage && kind != LineKind::kCorrection) {
    return fail(
        Code::kFailedPrecondition, "no_requests",
        fmt::format("line {} is a {}: no requests stand behind it; see tidegate ledger", line, line_kind_name(kind)),
        "line");
  }
  std::vector<LineRequest> out;
  for (const auto& row : tx.exec_params(
           kLineRequests, pg::to_sql(invoice.tenant), pg::read_text(key[1]), pg::read_text(key[2]),
           pg::read_text(key[4]), pg::read_text(key[3]), pg::read_int64(key[5]), pg::read_int64(key[6]),
           pg::to_sql(invoice.begin), pg::to_sql(invoice.end), kind == LineKind::kCorrection ? "true" : "false",
           page.after ? page.after->to_string() : Uuid{}.to_string(), pg::read_int64(key[7]), pg::read_int64(key[8]),
           pg::to_sql(invoice.wallet), page.limit)) {
    out.push_back({pg::read_id<RequestId>(row[0]), pg::read_id<ApiKeyId>(row[1]), pg::read_wall(row[2]),
                   pg::read_int64(row[3]), pg::read_money(row[4]), pg::read_bool(row[5]), pg::read_uuid(row[6])});
  }
  return out;
}

std::vector<std::pair<ApiKeyId, std::string>> list_key_names(pqxx::work& tx, TenantId tenant) {
  std::vector<std::pair<ApiKeyId, std::string>> out;
  for (const auto& row : tx.exec_params(kKeyNames, pg::to_sql(tenant))) {
    std::string name = pg::read_text(row[1]);
    out.emplace_back(pg::read_id<ApiKeyId>(row[0]), name.empty() ? pg::read_text(row[2]) : std::move(name));
  }
  return out;
}

std::vector<PaymentRow> list_payments(pqxx::work& tx, const InvoiceRow& invoice) {
  std::vector<PaymentRow> out;
  for (const auto& row :
       tx.exec_params(kPayments, pg::to_sql(invoice.wallet), pg::to_sql(invoice.begin), pg::to_sql(invoice.end))) {
    out.push_back({pg::read_uuid(row[0]), pg::read_wall(row[1]), pg::read_text(row[2]), pg::read_money(row[3])});
  }
  return out;
}

}  // namespace tidegate::billing
