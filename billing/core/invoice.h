#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"
#include "billing/core/tax_rate.h"

/// An invoice as arithmetic: what its lines are, how it is rounded, and what its issue and its voiding post.
namespace tidegate::billing {

/// usage: requests completed in the period. correction: requests completed before it, that is late ones and re-rated
/// ones. adjustment: revenue that no request explains (refunds, credit notes). credit: paid by a grant, negative.
enum class LineKind : std::uint8_t { kUsage, kCorrection, kAdjustment, kCredit };
std::string_view line_kind_name(LineKind kind);
std::optional<LineKind> parse_line_kind(std::string_view name);

/// What makes requests one line: one price.
struct LineKey {
  LineKind kind = LineKind::kUsage;
  ProjectId project;  ///< nil unless the line is of requests
  std::string model;
  std::string band;
  std::string meter;
  std::int64_t price_version = 0;
  std::int64_t micro_per_million = 0;
  std::int64_t mod_num = 1, mod_den = 1;  ///< factor on the rate
  std::string source;                     ///< of an adjustment or credit: the ledger's source type
  std::string description;                ///< of an adjustment or credit
  auto operator<=>(const LineKey&) const = default;
};

/// A line's share of one local day and one key. Lines are sums of parts, exports are made of parts.
struct LinePart {
  LineKey key;
  std::int64_t day = 0;  ///< of completion (of posting for adjustments), days since 1970-01-01 on the tenant's calendar
  ApiKeyId api_key;      ///< nil unless of requests
  Int128 quantity = 0;   ///< tokens; negative where a correction takes back
  Money amount;
};

struct InvoiceLine {
  LineKey key;
  Int128 quantity = 0;
  Money amount;
  std::vector<LinePart> parts;
};
/// Groups parts into lines in the order they are printed: kind, project, model, band, meter, price. Parts that came to
/// nothing (neither quantity nor amount) are left out, so are lines.
std::vector<InvoiceLine> gather_lines(std::vector<LinePart> parts);

/// Rounded once: lines are exact, the subtotal is rounded half to even to the currency's smallest unit, tax is taken
/// of the rounded subtotal and rounded once likewise. Rounding per line would make the invoice depend on how usage is
/// grouped; tax of the exact subtotal could not be checked from the printed figures.
struct InvoiceTotals {
  Money subtotal_exact;
  Money subtotal;
  Money rounding;  ///< subtotal - subtotal_exact
  Money tax;
  Money total;  ///< subtotal + tax
  bool operator==(const InvoiceTotals&) const = default;
};
/// Fails: invalid_argument/unknown_currency, out_of_range/invoice_too_large (10^20 units).
Result<InvoiceTotals> total_up(const std::vector<InvoiceLine>& lines, const TaxRate& rate, std::string_view currency);

/// An account of the ledger by kind; debit positive.
struct InvoiceEntry {
  std::string_view account;
  Money amount;
};
/// Usage was posted when it happened. What remains at issue: the residue of rounding moves between revenue and
/// `rounding`, so that the period's revenue is the printed subtotal, and the tax becomes owed. Zero entries left out.
std::vector<InvoiceEntry> issue_entries(const InvoiceTotals& totals);
/// The same with the sign turned.
std::vector<InvoiceEntry> void_entries(const InvoiceTotals& totals);

/// "TG-2026-000042". Numbers are counted per issuer, series and year from 1 without gaps.
std::string document_number(std::string_view prefix, int year, std::int64_t count);

/// Whether a prefix is 1 to 12 of A-Z, 0-9 and -. Fails: invalid_argument/bad_prefix.
Status check_prefix(std::string_view prefix, std::string_view field);

}  // namespace tidegate::billing
