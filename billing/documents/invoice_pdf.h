#pragma once

#include <vector>

#include "base/pdf/report.h"
#include "billing/adapters/invoice_query.h"

namespace tidegate::billing {

/// What is printed of an invoice.
struct InvoiceContent {
  InvoiceRow invoice;
  std::vector<InvoiceLineRow> lines;
  std::vector<PaymentRow> payments;
};

/// The invoice as a business document: lines by project, model and band with subtotals, a summary by band, corrections,
/// adjustments and credits, totals and tax, and how to open a line and verify a receipt. Exact figures are printed
/// exactly. A draft, a preview and a void invoice say so across every page.
pdf::Report invoice_report(const InvoiceContent& content);

/// invoice_report, rendered. Fails: as pdf::render.
Result<pdf::Rendered> invoice_pdf(const InvoiceContent& content);

}  // namespace tidegate::billing
