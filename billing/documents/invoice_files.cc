#include "billing/documents/invoice_files.h"

#include <fmt/format.h>

#include "base/price/calendar_month.h"
#include "billing/core/csv.h"

namespace tidegate::billing {

std::string invoice_csv(const InvoiceContent& content, const FocusNames& names) {
  const InvoiceRow& invoice = content.invoice;
  std::string out;
  append_csv(out,
             {"invoice", "line", "kind", "day", "project_id", "project", "key_id", "key", "model", "band", "meter",
              "price_version", "price_per_million", "factor", "tokens", "amount", "currency", "source", "description"});
  auto total_row = [&](const char* kind, Money amount, const std::string& text) {
    if (amount.is_zero()) return;
    append_csv(out, {invoice.number, "", kind, "", "", "", "", "", "", "", "", "", "", "", "", amount.to_string(),
                     invoice.currency, "", text});
  };
  for (const auto& row : content.lines) {
    const LineKey& key = row.line.key;
    const bool is_of_requests = !key.project.is_nil();
    for (const auto& part : row.line.parts) {
      const bool has_key = !part.api_key.is_nil();
      append_csv(out, {invoice.number, std::to_string(row.number), std::string(line_kind_name(key.kind)),
                       price::day_text(part.day), is_of_requests ? key.project.to_string() : "", row.project_name,
                       has_key ? part.api_key.to_string() : "", has_key ? names.api_key(part.api_key) : "", key.model,
                       key.band, key.meter, is_of_requests ? std::to_string(key.price_version) : "",
                       is_of_requests ? Rate::from_micro_per_million(key.micro_per_million).to_string() : "",
                       key.mod_num == key.mod_den ? "1" : fmt::format("{}/{}", key.mod_num, key.mod_den),
                       int128_to_string(part.quantity), part.amount.to_string(), invoice.currency, key.source,
                       key.description});
    }
  }
  total_row("rounding", invoice.totals.rounding, "to the currency's smallest unit");
  total_row("tax", invoice.totals.tax, fmt::format("{} {}", invoice.tax_name, invoice.tax_rate.to_string()));
  return out;
}

Result<std::string> invoice_focus(const InvoiceContent& content, const FocusNames& names) {
  const InvoiceRow& invoice = content.invoice;
  FocusInvoice head;
  head.invoice_id = invoice.number;
  head.currency = invoice.currency;
  head.tz = invoice.tz;
  head.seller = invoice.seller.name;
  head.account_id = invoice.tenant.to_string();
  head.account_name = invoice.buyer.name;
  head.tax_name = fmt::format("{} {}", invoice.tax_name, invoice.tax_rate.to_string());
  head.begin = invoice.begin;
  head.end = invoice.end;
  head.totals = invoice.totals;
  std::vector<InvoiceLine> lines;
  for (const auto& row : content.lines) lines.push_back(row.line);
  std::vector<FocusPayment> payments;
  for (const auto& payment : content.payments) payments.push_back({payment.posted, payment.amount, payment.note});
  TG_ASSIGN(const auto rows, focus_rows(head, lines, payments, names));
  std::string out;
  for (const auto& row : rows) append_csv(out, row);
  return out;
}

}  // namespace tidegate::billing
