#include "billing/core/invoice.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/core/check.h"
#include "base/price/rounding.h"
#include "billing/core/currency.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kPrefixMax = 12;

/// Of one invoice, in units of its currency: far above any, far below overflow.
Money amount_limit() { return Money::parse("100000000000000000000").value(); }

}  // namespace

std::string_view line_kind_name(LineKind kind) {
  switch (kind) {
    case LineKind::kUsage:
      return "usage";
    case LineKind::kCorrection:
      return "correction";
    case LineKind::kAdjustment:
      return "adjustment";
    case LineKind::kCredit:
      return "credit";
  }
  return "";
}

std::optional<LineKind> parse_line_kind(std::string_view name) {
  for (const auto kind : {LineKind::kUsage, LineKind::kCorrection, LineKind::kAdjustment, LineKind::kCredit}) {
    if (line_kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

std::vector<InvoiceLine> gather_lines(std::vector<LinePart> parts) {
  std::map<LineKey, InvoiceLine> lines;
  for (auto& part : parts) {
    if (part.quantity == 0 && part.amount.is_zero()) continue;
    InvoiceLine& line = lines[part.key];
    line.key = part.key;
    line.quantity += part.quantity;
    line.amount += part.amount;
    line.parts.push_back(std::move(part));
  }
  std::vector<InvoiceLine> out;
  for (auto& [key, line] : lines) out.push_back(std::move(line));
  return out;
}

Result<InvoiceTotals> total_up(const std::vector<InvoiceLine>& lines, const TaxRate& rate, std::string_view currency) {
  TG_ASSIGN(const int decimals, minor_unit_decimals(currency));
  InvoiceTotals out;
  for (const auto& line : lines) out.subtotal_exact += line.amount;
  const Money limit = amount_limit();
  if (out.subtotal_exact >= limit || out.subtotal_exact <= -limit) {
    return fail(Code::kOutOfRange, "invoice_too_large",
                fmt::format("an invoice of {} {} is beyond 10^20 units: the period's ledger is wrong or must be split",
                            out.subtotal_exact.to_string(), currency));
  }
  out.subtotal = price::round_half_even(out.subtotal_exact, decimals);
  out.rounding = out.subtotal - out.subtotal_exact;
  out.tax = tax_of(out.subtotal, rate, decimals);
  out.total = out.subtotal + out.tax;
  return out;
}

std::vector<InvoiceEntry> issue_entries(const InvoiceTotals& totals) {
  std::vector<InvoiceEntry> out;
  // Revenue is credited: a subtotal rounded up is more revenue than the requests made, at the cost of `rounding`.
  if (!totals.rounding.is_zero()) {
    out.push_back({"rounding", totals.rounding});
    out.push_back({"revenue", -totals.rounding});
  }
  if (!totals.tax.is_zero()) {
    out.push_back({"receivable", totals.tax});
    out.push_back({"tax", -totals.tax});
  }
  return out;
}

std::vector<InvoiceEntry> void_entries(const InvoiceTotals& totals) {
  auto entries = issue_entries(totals);
  for (auto& entry : entries) entry.amount = -entry.amount;
  return entries;
}

std::string document_number(std::string_view prefix, int year, std::int64_t count) {
  TG_CHECK(count > 0);
  return fmt::format("{}-{}-{:06}", prefix, year, count);
}

Status check_prefix(std::string_view prefix, std::string_view field) {
  const bool is_fine = !prefix.empty() && prefix.size() <= kPrefixMax &&
                       std::all_of(prefix.begin(), prefix.end(),
                                   [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; });
  if (is_fine) return {};
  return fail(Code::kInvalidArgument, "bad_prefix",
              fmt::format("{} must be 1 to {} of A-Z, 0-9 and -", field, kPrefixMax), std::string(field));
}

}  // namespace tidegate::billing
