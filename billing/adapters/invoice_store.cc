#include "billing/adapters/invoice_store.h"

#include <fmt/format.h>

#include "base/core/check.h"
#include "base/pg/types.h"
#include "base/price/calendar_month.h"
#include "billing/adapters/invoice_parts.h"
#include "billing/adapters/invoice_query.h"
#include "billing/core/currency.h"

namespace tidegate::billing {

namespace {

constexpr const char* kWalletsToClose = R"sql(
  SELECT w.id, t.id, t.name, t.billing_tz, w.currency, c.closed_through IS NOT NULL,
         (extract(epoch FROM coalesce(c.closed_through,
           least(t.created_at, (SELECT min(posted_at) FROM ledger_tx x WHERE x.wallet_id = w.id)))) * 1000000)::bigint
    FROM wallets w JOIN tenants t ON t.id = w.tenant_id LEFT JOIN wallet_closings c ON c.wallet_id = w.id
   WHERE $1 = '' OR t.id = nullif($1, '')::uuid ORDER BY w.id)sql";
/// Usage and grants lock the wallet before they post, so whoever comes after this lock sees the close.
constexpr const char* kLockInvoicedWallet = "SELECT id FROM wallets WHERE id = $1 FOR NO KEY UPDATE";
constexpr const char* kClosedThrough = R"sql(
  SELECT (extract(epoch FROM closed_through) * 1000000)::bigint FROM wallet_closings WHERE wallet_id = $1)sql";
constexpr const char* kCloseMonth = R"sql(
  INSERT INTO wallet_closings (wallet_id, closed_through) VALUES ($1, $2)
  ON CONFLICT (wallet_id) DO UPDATE SET closed_through = EXCLUDED.closed_through)sql";
constexpr const char* kInsertInvoice = R"sql(
  INSERT INTO invoices (id, wallet_id, tenant_id, currency, period, period_label, billing_tz, status, subtotal_exact, subtotal,
    tax, total, decimals, issuer, seller_name, seller_address, seller_tax_id, buyer_name, buyer_address, buyer_tax_id, tax_name,
    tax_num, tax_den, created_at, replaces)
  VALUES ($1, $2, $3, $4, tstzrange($5, $6), $7, $8, 'draft', $9::numeric, $10::numeric, $11::numeric, $12::numeric, $13, $14,
    $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, nullif($25, '')::uuid))sql";
constexpr const char* kInsertLines = R"sql(
  INSERT INTO invoice_lines (invoice, line, kind, project_id, model, band, meter, price_version, micro_per_1m, mod_num, mod_den,
    source, description, quantity, amount)
  SELECT $1::uuid, l.* FROM unnest($2::int[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::numeric[], $15::numeric[]) AS l)sql";
constexpr const char* kInsertParts = R"sql(
  INSERT INTO invoice_parts (invoice, line, day, api_key_id, quantity, amount)
  SELECT $1::uuid, p.line, date '1970-01-01' + p.day, p.key, p.quantity, p.amount
    FROM unnest($2::int[], $3::int[], $4::uuid[], $5::numeric[], $6::numeric[]) AS p(line, day, key, quantity, amount))sql";
constexpr const char* kNextNumber = R"sql(
  INSERT INTO document_numbers AS d (issuer, series, year, last) VALUES ($1, $2, $3, 1)
  ON CONFLICT (issuer, series, year) DO UPDATE SET last = d.last + 1 RETURNING last)sql";
constexpr const char* kLockInvoice = "SELECT wallet_id FROM invoices WHERE id = $1 FOR UPDATE";
constexpr const char* kIssue = R"sql(
  UPDATE invoices SET status = 'issued', number = $2, issued_at = $3, issue_tx = nullif($4, '')::uuid WHERE id = $1)sql";
constexpr const char* kVoidInvoice = R"sql(
  UPDATE invoices SET status = 'void', credit_note = nullif($2, ''), voided_at = $3, void_tx = nullif($4, '')::uuid,
         void_reason = $5 WHERE id = $1)sql";
constexpr const char* kIsReplaced = "SELECT 1 FROM invoices WHERE replaces = $1 AND status <> 'void'";

constexpr const char* kMakeAccounts = R"sql(
  INSERT INTO ledger_accounts (wallet_id, kind, currency)
  VALUES (NULL, 'tax', $2), (NULL, 'rounding', $2), (NULL, 'revenue', $2), ($1::uuid, 'receivable', $2) ON CONFLICT DO NOTHING)sql";
constexpr const char* kInsertInvoiceTx = R"sql(
  INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at, note, reverses)
  SELECT $1::uuid, $2::text, i.id::text, i.wallet_id, upper(i.period), $3::timestamptz, $4::text, CASE WHEN $2 = 'invoice_void' THEN i.issue_tx END
    FROM invoices i WHERE i.id = $5)sql";
constexpr const char* kInsertInvoiceEntries = R"sql(
  INSERT INTO ledger_entries (tx, line, account, currency, amount)
  SELECT $1::uuid, e.line, a.id, a.currency, e.amount
    FROM unnest($2::text[], $3::numeric[]) WITH ORDINALITY AS e(kind, amount, line)
    JOIN ledger_accounts a ON a.kind = e.kind AND a.currency = $4 AND a.grant_id IS NULL
     AND (a.wallet_id = $5 OR (a.wallet_id IS NULL AND e.kind <> 'receivable')))sql";

void insert_lines(pqxx::work& tx, const Uuid& invoice, const std::vector<InvoiceLine>& lines) {
  pg::ArrayLiteral number, kind, project, model, band, meter, version, micro, num, den, source, description, quantity,
      amount;
  pg::ArrayLiteral part_line, day, key, part_quantity, part_amount;
  std::int64_t n = 0;
  for (const auto& line : lines) {
    number.add(++n);
    kind.add(line_kind_name(line.key.kind));
    const bool is_of_requests = !line.key.project.is_nil();
    is_of_requests ? project.add(line.key.project) : project.add_null();
    model.add(line.key.model);
    band.add(line.key.band);
    meter.add(line.key.meter);
    is_of_requests ? version.add(line.key.price_version) : version.add_null();
    micro.add(line.key.micro_per_million);
    num.add(line.key.mod_num);
    den.add(line.key.mod_den);
    source.add(line.key.source);
    description.add(line.key.description);
    quantity.add(int128_to_string(line.quantity));
    amount.add(line.amount);
    for (const auto& part : line.parts) {
      part_line.add(n);
      day.add(part.day);
      key.add(part.api_key);
      part_quantity.add(int128_to_string(part.quantity));
      part_amount.add(part.amount);
    }
  }
  if (n == 0) return;
  tx.exec_params0(kInsertLines, pg::to_sql(invoice), number.text(), kind.text(), project.text(), model.text(),
                  band.text(), meter.text(), version.text(), micro.text(), num.text(), den.text(), source.text(),
                  description.text(), quantity.text(), amount.text());
  tx.exec_params0(kInsertParts, pg::to_sql(invoice), part_line.text(), day.text(), key.text(), part_quantity.text(),
                  part_amount.text());
}

/// Header and lines from the ledger; nothing is written.
struct Draft {
  InvoiceRow row;
  std::vector<InvoiceLine> lines;
};
Result<Draft> draw_up(pqxx::work& tx, const DueWallet& wallet, const price::CalendarMonth& month, Wall now) {
  Draft out;
  TG_ASSIGN(auto parts, load_parts(tx, {wallet.wallet, wallet.tenant, wallet.tz, month.begin, month.end}));
  out.lines = gather_lines(std::move(parts));
  const ProfileRow profile = load_profile(tx, wallet.tenant);
  TG_ASSIGN(const auto issuer, find_issuer(tx, profile.issuer));
  InvoiceRow& row = out.row;
  row.wallet = wallet.wallet;
  row.tenant = wallet.tenant;
  row.tenant_name = wallet.tenant_name;
  row.currency = wallet.currency;
  row.month = month.label;
  row.tz = wallet.tz;
  row.begin = month.begin;
  row.end = month.end;
  TG_ASSIGN(row.decimals, minor_unit_decimals(wallet.currency));
  row.tax_name = profile.tax_name;
  row.tax_rate = profile.tax;
  TG_ASSIGN(row.totals, total_up(out.lines, profile.tax, wallet.currency));
  row.issuer = issuer.id;
  row.seller = {issuer.legal_name, issuer.address, issuer.tax_id};
  row.buyer = {profile.legal_name.empty() ? wallet.tenant_name : profile.legal_name, profile.address, profile.tax_id};
  row.created = now;
  row.status = "open";
  return out;
}

void insert_draft(pqxx::work& tx, const Draft& draft) {
  const InvoiceRow& i = draft.row;
  tx.exec_params0(kInsertInvoice, pg::to_sql(i.id), pg::to_sql(i.wallet), pg::to_sql(i.tenant), i.currency,
                  pg::to_sql(i.begin), pg::to_sql(i.end), i.month, i.tz, pg::to_sql(i.totals.subtotal_exact),
                  pg::to_sql(i.totals.subtotal), pg::to_sql(i.totals.tax), pg::to_sql(i.totals.total), i.decimals,
                  i.issuer, i.seller.name, i.seller.address, i.seller.tax_id, i.buyer.name, i.buyer.address,
                  i.buyer.tax_id, i.tax_name, i.tax_rate.num, i.tax_rate.den, pg::to_sql(i.created),
                  i.replaces ? i.replaces->to_string() : std::string());
  insert_lines(tx, i.id, draft.lines);
}

/// The next number of a series, in the year of `now` (UTC).
Result<std::string> next_number(pqxx::work& tx, const std::string& issuer_id, bool is_credit, Wall now) {
  TG_ASSIGN(const auto issuer, find_issuer(tx, issuer_id));
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(now));
  const int year = static_cast<int>(date.year());
  const auto row = tx.exec_params1(kNextNumber, issuer_id, is_credit ? "credit_note" : "invoice", year);
  return document_number(is_credit ? issuer.credit_prefix : issuer.prefix, year, pg::read_int64(row[0]));
}

/// The id of the transaction as text, or "" when there is nothing to post.
std::string post_invoice(pqxx::work& tx, const InvoiceRow& invoice, const char* source,
                         const std::vector<InvoiceEntry>& entries, const Uuid& tx_id, const std::string& note, Wall now) {
  if (entries.empty()) return "";
  tx.exec_params0(kMakeAccounts, pg::to_sql(invoice.wallet), invoice.currency);
  tx.exec_params0(kInsertInvoiceTx, pg::to_sql(tx_id), source, pg::to_sql(now), note, pg::to_sql(invoice.id));
  pg::ArrayLiteral kinds, amounts;
  for (const auto& entry : entries) {
    kinds.add(entry.account);
    amounts.add(entry.amount);
  }
  const auto done = tx.exec_params(kInsertInvoiceEntries, pg::to_sql(tx_id), kinds.text(), amounts.text(),
                                   invoice.currency, pg::to_sql(invoice.wallet));
  TG_CHECK(static_cast<std::size_t>(done.affected_rows()) == entries.size());
  return pg::to_sql(tx_id);
}

Result<InvoiceRow> lock_invoice(pqxx::work& tx, const Uuid& invoice) {
  tx.exec_params(kLockInvoice, pg::to_sql(invoice));
  return find_invoice(tx, invoice.to_string());
}

}  // namespace

std::vector<DueWallet> list_wallets_to_close(pqxx::work& tx, const std::optional<TenantId>& tenant) {
  std::vector<DueWallet> out;
  for (const auto& row : tx.exec_params(kWalletsToClose, tenant ? tenant->to_string() : "")) {
    DueWallet wallet{pg::read_id<WalletId>(row[0]), pg::read_id<TenantId>(row[1]), pg::read_text(row[2]),
                     pg::read_text(row[3]),         pg::read_text(row[4]),         pg::read_wall(row[6])};
    if (!pg::read_bool(row[5])) {
      // The zone was checked when the tenant was made; one that the zone data lost since is the close's to report.
      if (const auto first = price::month_of(wallet.tz, wallet.closed_through)) wallet.closed_through = first->begin;
    }
    out.push_back(std::move(wallet));
  }
  return out;
}

Result<std::optional<ClosedMonth>> close_next_month(pqxx::work& tx, const DueWallet& wallet,
                                                    const CloseOptions& options, Wall now) {
  tx.exec_params1(kLockInvoicedWallet, pg::to_sql(wallet.wallet));
  // Another replica may have closed it since the wallet was listed.
  const auto closed = tx.exec_params(kClosedThrough, pg::to_sql(wallet.wallet));
  const Wall begin = closed.empty() ? wallet.closed_through : pg::read_wall(closed[0][0]);
  TG_ASSIGN(auto month, price::month_of(wallet.tz, begin));
  // After a change of zone the first month begins where the last one of the old zone ended.
  month.begin = begin;
  if (now < month.end + options.grace) return std::optional<ClosedMonth>();
  TG_ASSIGN(auto draft, draw_up(tx, wallet, month, now));
  tx.exec_params0(kCloseMonth, pg::to_sql(wallet.wallet), pg::to_sql(month.end));
  ClosedMonth out{month.label, std::nullopt};
  if (draft.lines.empty()) return std::optional(std::move(out));
  draft.row.id = options.invoice;
  insert_draft(tx, draft);
  if (options.is_draft) {
    TG_ASSIGN(out.invoice, find_invoice(tx, options.invoice.to_string()));
  } else {
    TG_ASSIGN(out.invoice, issue_invoice(tx, options.invoice, options.issue_tx, now));
  }
  return std::optional(std::move(out));
}

Result<std::pair<InvoiceRow, std::vector<InvoiceLine>>> preview_month(pqxx::work& tx, const DueWallet& wallet,
                                                                      Wall now) {
  TG_ASSIGN(auto month, price::month_of(wallet.tz, now));
  month.begin = std::max(wallet.closed_through, month.begin);
  TG_ASSIGN(auto draft, draw_up(tx, wallet, month, now));
  return std::pair(std::move(draft.row), std::move(draft.lines));
}

Result<InvoiceRow> issue_invoice(pqxx::work& tx, const Uuid& invoice, const Uuid& tx_id, Wall now) {
  TG_ASSIGN(const auto row, lock_invoice(tx, invoice));
  if (row.status == "issued") return row;
  if (row.status != "draft") {
    return fail(Code::kFailedPrecondition, "invoice_void",
                fmt::format("invoice {} is void; make another with: tidegate invoice replace {}", invoice.to_string(),
                            invoice.to_string()),
                "invoice");
  }
  TG_ASSIGN(const auto number, next_number(tx, row.issuer, false, now));
  const auto posted = post_invoice(tx, row, "invoice", issue_entries(row.totals), tx_id, number, now);
  tx.exec_params0(kIssue, pg::to_sql(invoice), number, pg::to_sql(now), posted);
  return find_invoice(tx, invoice.to_string());
}

Result<InvoiceRow> void_invoice(pqxx::work& tx, const Uuid& invoice, const std::string& reason, const Uuid& tx_id,
                                Wall now) {
  TG_ASSIGN(const auto row, lock_invoice(tx, invoice));
  if (row.status == "void") return row;
  std::string number, posted;
  if (row.status == "issued") {
    TG_ASSIGN(number, next_number(tx, row.issuer, true, now));
    posted = post_invoice(tx, row, "invoice_void", void_entries(row.totals), tx_id, number, now);
  }
  tx.exec_params0(kVoidInvoice, pg::to_sql(invoice), number, pg::to_sql(now), posted, reason);
  return find_invoice(tx, invoice.to_string());
}

Result<InvoiceRow> replace_invoice(pqxx::work& tx, const Uuid& voided, const Uuid& new_id, Wall now) {
  TG_ASSIGN(const auto old, lock_invoice(tx, voided));
  if (old.status != "void") {
    return fail(Code::kFailedPrecondition, "invoice_not_void",
                fmt::format("invoice {} is {}: void it first", voided.to_string(), old.status), "invoice");
  }
  if (!tx.exec_params(kIsReplaced, pg::to_sql(voided)).empty()) {
    return fail(Code::kFailedPrecondition, "already_replaced",
                fmt::format("invoice {} has a replacement", voided.to_string()), "invoice");
  }
  tx.exec_params1(kLockInvoicedWallet, pg::to_sql(old.wallet));
  DueWallet wallet{old.wallet, old.tenant, old.tenant_name, old.tz, old.currency, old.begin};
  TG_ASSIGN(auto draft, draw_up(tx, wallet, {old.month, old.begin, old.end}, now));
  draft.row.id = new_id;
  draft.row.replaces = voided;
  insert_draft(tx, draft);
  return find_invoice(tx, new_id.to_string());
}

}  // namespace tidegate::billing
