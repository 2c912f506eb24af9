#include "billing/rpc/statement_messages.h"

#include <fmt/format.h>

namespace tidegate::billing {

v1::Issuer to_message(const IssuerRow& row) {
  v1::Issuer out;
  out.set_issuer(row.id);
  out.set_legal_name(row.legal_name);
  out.set_address(row.address);
  out.set_tax_id(row.tax_id);
  out.set_prefix(row.prefix);
  out.set_credit_prefix(row.credit_prefix);
  return out;
}

v1::BillingProfile to_message(const ProfileRow& row, const std::string& tenant_name) {
  v1::BillingProfile out;
  out.set_tenant(tenant_name);
  out.set_legal_name(row.legal_name);
  out.set_address(row.address);
  out.set_tax_id(row.tax_id);
  out.set_tax_name(row.tax_name);
  out.set_tax_rate(row.tax.to_string());
  out.set_issuer(row.issuer);
  return out;
}

v1::Invoice to_message(const InvoiceRow& row) {
  v1::Invoice out;
  // A preview has no id.
  if (!row.id.is_nil()) out.set_invoice_id(row.id.to_string());
  out.set_number(row.number);
  out.set_tenant_id(row.tenant.to_string());
  out.set_tenant_name(row.tenant_name);
  out.set_currency(row.currency);
  out.set_month(row.month);
  out.set_billing_tz(row.tz);
  out.set_period_from_us(unix_micros(row.begin));
  out.set_period_to_us(unix_micros(row.end));
  out.set_status(row.status);
  out.set_subtotal_exact(row.totals.subtotal_exact.to_string());
  out.set_subtotal(row.totals.subtotal.to_string());
  out.set_rounding(row.totals.rounding.to_string());
  out.set_tax_name(row.tax_name);
  out.set_tax_rate(row.tax_rate.to_string());
  out.set_tax(row.totals.tax.to_string());
  out.set_total(row.totals.total.to_string());
  out.set_created_us(unix_micros(row.created));
  if (row.issued) out.set_issued_us(unix_micros(*row.issued));
  out.set_credit_note(row.credit_note);
  if (row.voided) out.set_voided_us(unix_micros(*row.voided));
  out.set_void_reason(row.void_reason);
  if (row.replaces) out.set_replaces(row.replaces->to_string());
  out.set_buyer_name(row.buyer.name);
  out.set_seller_name(row.seller.name);
  return out;
}

v1::InvoiceLine to_message(const InvoiceLineRow& row) {
  const LineKey& key = row.line.key;
  v1::InvoiceLine out;
  out.set_line(row.number);
  out.set_kind(std::string(line_kind_name(key.kind)));
  if (!key.project.is_nil()) out.set_project_id(key.project.to_string());
  out.set_project_name(row.project_name);
  out.set_model(key.model);
  out.set_band(key.band);
  out.set_meter(key.meter);
  out.set_price_version(key.price_version);
  out.set_price_book(row.price_book);
  out.set_micro_per_million(key.micro_per_million);
  out.set_factor(key.mod_num == key.mod_den ? "1" : fmt::format("{}/{}", key.mod_num, key.mod_den));
  out.set_quantity(int128_to_string(row.line.quantity));
  out.set_amount(row.line.amount.to_string());
  out.set_description(key.description);
  out.set_source(key.source);
  return out;
}

v1::LineRequest to_message(const LineRequest& row) {
  v1::LineRequest out;
  out.set_request_id(row.request.to_string());
  out.set_key_id(row.api_key.to_string());
  out.set_completed_us(unix_micros(row.completed));
  out.set_quantity(row.quantity);
  out.set_amount(row.amount.to_string());
  out.set_is_reversal(row.is_reversal);
  out.set_ledger_tx(row.ledger_tx.to_string());
  return out;
}

v1::MarginRow to_message(const MarginRow& row) {
  v1::MarginRow out;
  out.set_model(row.model);
  if (row.hour) out.set_hour_us(unix_micros(*row.hour));
  out.set_band(row.band.value_or(""));
  out.set_tokens(int128_to_string(row.tokens));
  out.set_revenue(row.revenue.to_string());
  out.set_list_revenue(row.list.to_string());
  out.set_cost(row.cost.to_string());
  out.set_margin(row.margin().to_string());
  out.set_margin_percent(margin_percent(row.revenue, row.cost).value_or(""));
  // Millionths, printed as Money prints millionths of a million.
  out.set_accelerator_hours(Money::from_pico(row.accelerator_micro_hours * 1'000'000).to_string());
  return out;
}

}  // namespace tidegate::billing
