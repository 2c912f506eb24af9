#include "billing/core/focus.h"

#include <fmt/format.h>

#include <map>

#include "base/core/check.h"
#include "base/price/calendar_month.h"
#include "billing/core/csv.h"

namespace tidegate::billing {

namespace {

using enum FocusType;
constexpr FocusColumn kColumns[] = {
    {"BilledCost", kDecimal, false},
    {"BillingAccountId", kText, false},
    {"BillingAccountName", kText, true},
    {"BillingCurrency", kText, false},
    {"BillingPeriodEnd", kInstant, false},
    {"BillingPeriodStart", kInstant, false},
    {"ChargeCategory", kText, false},
    {"ChargeClass", kText, true},
    {"ChargeDescription", kText, true},
    {"ChargeFrequency", kText, false},
    {"ChargePeriodEnd", kInstant, false},
    {"ChargePeriodStart", kInstant, false},
    {"ConsumedQuantity", kDecimal, true},
    {"ConsumedUnit", kText, true},
    {"ContractedCost", kDecimal, false},
    {"ContractedUnitPrice", kDecimal, true},
    {"EffectiveCost", kDecimal, false},
    {"InvoiceId", kText, true},
    {"InvoiceIssuer", kText, false},
    {"ListCost", kDecimal, false},
    {"ListUnitPrice", kDecimal, true},
    {"PricingCategory", kText, true},
    {"PricingCurrency", kText, true},
    {"PricingQuantity", kDecimal, true},
    {"PricingUnit", kText, true},
    {"Provider", kText, false},
    {"Publisher", kText, false},
    {"ResourceId", kText, true},
    {"ResourceName", kText, true},
    {"ServiceCategory", kText, false},
    {"ServiceName", kText, false},
    {"SkuId", kText, true},
    {"SkuMeter", kText, true},
    {"SkuPriceId", kText, true},
    {"SubAccountId", kText, true},
    {"SubAccountName", kText, true},
    {"x_Band", kText, true},
    {"x_PaidAmount", kDecimal, true},
};

/// A row by column name: a column that is not set is null.
class Row {
 public:
  explicit Row(const FocusInvoice& invoice) {
    set("BillingAccountId", invoice.account_id);
    set("BillingAccountName", invoice.account_name);
    set("BillingCurrency", invoice.currency);
    set("BillingPeriodStart", instant(invoice.begin));
    set("BillingPeriodEnd", instant(invoice.end));
    set("InvoiceId", invoice.invoice_id);
    set("InvoiceIssuer", invoice.seller);
    set("Provider", invoice.seller);
    set("Publisher", invoice.seller);
    set("ServiceCategory", "AI and Machine Learning");
    set("ServiceName", "Model inference");
    set("ChargeFrequency", "Usage-Based");
    period(invoice.begin, invoice.end);
  }
  void set(std::string_view column, std::string value) { fields_[column] = std::move(value); }
  void period(Wall begin, Wall end) {
    set("ChargePeriodStart", instant(begin));
    set("ChargePeriodEnd", instant(end));
  }
  void charge(std::string category, std::string description) {
    set("ChargeCategory", std::move(category));
    set("ChargeDescription", std::move(description));
  }
  /// All four costs alike: what is billed is what it costs, and nothing is amortised.
  void cost(Money amount) {
    for (const char* column : {"BilledCost", "EffectiveCost", "ContractedCost", "ListCost"})
      set(column, amount.to_string());
  }
  std::vector<std::string> fields() const {
    std::vector<std::string> out;
    std::size_t used = 0;
    for (const auto& column : kColumns) {
      const auto found = fields_.find(column.name);
      used += found == fields_.end() ? 0U : 1U;
      out.push_back(found == fields_.end() ? std::string() : found->second);
      TG_CHECK(column.may_be_null || !out.back().empty());
    }
    TG_CHECK(used == fields_.size());  // a misspelt column would vanish
    return out;
  }

 private:
  static std::string instant(Wall wall) { return format_rfc3339(wall).substr(0, 19) + "Z"; }
  std::map<std::string_view, std::string> fields_;
};

/// Tokens as millions, exactly: six decimals at most.
std::string millions(Int128 tokens) { return Money::from_pico(tokens * 1'000'000).to_string(); }

void set_usage(Row& row, const LinePart& part, const FocusNames& names) {
  const LineKey& key = part.key;
  row.charge("Usage", fmt::format("{} {} tokens, {} band", key.model, key.meter, key.band));
  if (key.kind == LineKind::kCorrection) row.set("ChargeClass", "Correction");
  row.cost(part.amount);
  // micro-units per million x tokens = pico-units: the list cost is exact before any factor.
  row.set("ListCost", Money::from_pico(part.quantity * key.micro_per_million).to_string());
  row.set("ListUnitPrice", Rate::from_micro_per_million(key.micro_per_million).to_string());
  const Int128 list_pico = Int128(key.micro_per_million) * 1'000'000;
  row.set("ContractedUnitPrice", Money::from_pico(div_half_even(list_pico * key.mod_num, key.mod_den)).to_string());
  row.set("PricingCategory", key.mod_num == key.mod_den ? "Standard" : "Dynamic");
  row.set("PricingQuantity", millions(part.quantity));
  row.set("PricingUnit", "1000000 Tokens");
  row.set("ConsumedQuantity", int128_to_string(part.quantity));
  row.set("ConsumedUnit", "Tokens");
  row.set("SkuId", key.model);
  row.set("SkuMeter", key.meter);
  row.set("SkuPriceId", fmt::format("{}/{}/{}", key.price_version, key.band, key.meter));
  row.set("x_Band", key.band);
  row.set("SubAccountId", key.project.to_string());
  row.set("SubAccountName", names.project(key.project));
  if (!part.api_key.is_nil()) {
    row.set("ResourceId", part.api_key.to_string());
    row.set("ResourceName", names.api_key(part.api_key));
  }
}

}  // namespace

std::span<const FocusColumn> focus_columns() { return kColumns; }

std::string focus_header() {
  std::vector<std::string> names;
  for (const auto& column : kColumns) names.emplace_back(column.name);
  std::string out;
  append_csv(out, names);
  return out;
}

Result<std::vector<std::vector<std::string>>> focus_rows(const FocusInvoice& invoice,
                                                         const std::vector<InvoiceLine>& lines,
                                                         const std::vector<FocusPayment>& payments,
                                                         const FocusNames& names) {
  std::vector<std::vector<std::string>> out;
  for (const auto& line : lines) {
    for (const auto& part : line.parts) {
      Row row(invoice);
      TG_ASSIGN(const auto day, price::day_range(invoice.tz, part.day));
      row.period(day.begin, day.end);
      switch (part.key.kind) {
        case LineKind::kUsage:
        case LineKind::kCorrection:
          set_usage(row, part, names);
          break;
        case LineKind::kAdjustment:
          row.charge("Adjustment", fmt::format("{} {}", part.key.source, part.key.description));
          row.cost(part.amount);
          break;
        case LineKind::kCredit:
          row.charge("Credit", fmt::format("Grant {}", part.key.description));
          row.cost(part.amount);
          break;
      }
      out.push_back(row.fields());
    }
  }
  if (!invoice.totals.rounding.is_zero()) {
    Row row(invoice);
    row.charge("Adjustment", "Rounding of the invoice to the currency's smallest unit");
    row.set("ChargeFrequency", "Recurring");
    row.cost(invoice.totals.rounding);
    out.push_back(row.fields());
  }
  if (!invoice.totals.tax.is_zero()) {
    Row row(invoice);
    row.charge("Tax", invoice.tax_name);
    row.set("ChargeFrequency", "Recurring");
    row.cost(invoice.totals.tax);
    out.push_back(row.fields());
  }
  for (const auto& payment : payments) {
    Row row(invoice);
    row.period(payment.posted, payment.posted + std::chrono::seconds(1));
    row.charge("Purchase", payment.note.empty() ? "Top-up of the prepaid balance" : "Top-up: " + payment.note);
    row.set("ChargeFrequency", "One-Time");
    row.set("InvoiceId", "");
    row.cost(Money());
    row.set("x_PaidAmount", payment.amount.to_string());
    out.push_back(row.fields());
  }
  return out;
}

}  // namespace tidegate::billing
