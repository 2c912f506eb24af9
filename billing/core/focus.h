#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "billing/core/invoice.h"

/// An invoice as rows of FOCUS 1.2 (FinOps Open Cost and Usage Specification). A row is a line's share of one local day
/// and one key; then come tax and the residue of rounding. Every figure is an exact decimal, so that the sum of
/// BilledCost over an InvoiceId is the invoice's total to the last digit.
namespace tidegate::billing {

enum class FocusType { kText, kDecimal, kInstant };
struct FocusColumn {
  std::string_view name;
  FocusType type;
  bool may_be_null;  ///< an empty field
};
/// In the order of the file. Names starting with x_ are ours, as the specification asks.
std::span<const FocusColumn> focus_columns();

struct FocusInvoice {
  std::string invoice_id;  ///< the printed number
  std::string currency, tz;
  std::string seller;                    ///< who invoices and publishes
  std::string account_id, account_name;  ///< the tenant
  std::string tax_name;
  Wall begin, end;
  InvoiceTotals totals;
};
/// Names that lines hold as ids only. Called once a row.
struct FocusNames {
  std::function<std::string(const ProjectId&)> project;
  std::function<std::string(const ApiKeyId&)> api_key;
};
struct FocusPayment {
  Wall posted;
  Money amount;
  std::string note;
};

/// One vector of fields a row, as focus_columns() names them. A payment is a Purchase row without InvoiceId and with
/// BilledCost 0: it is charged when it is spent, and charging it when it is paid in would charge it twice; the amount
/// stands in x_PaidAmount.
/// Fails: what price::day_range says of the zone.
Result<std::vector<std::vector<std::string>>> focus_rows(const FocusInvoice& invoice,
                                                         const std::vector<InvoiceLine>& lines,
                                                         const std::vector<FocusPayment>& payments,
                                                         const FocusNames& names);

/// The header record.
std::string focus_header();

}  // namespace tidegate::billing
