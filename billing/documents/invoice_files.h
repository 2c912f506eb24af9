#pragma once

#include <string>

#include "billing/core/focus.h"
#include "billing/documents/invoice_pdf.h"

namespace tidegate::billing {

/// Lines by local day and key as CSV with a header, then the rounding and the tax: the column `amount` sums to the
/// total. The lines must have been loaded with their parts.
std::string invoice_csv(const InvoiceContent& content, const FocusNames& names);

/// The invoice's rows of FOCUS 1.2 without a header. Fails: as focus_rows.
Result<std::string> invoice_focus(const InvoiceContent& content, const FocusNames& names);

}  // namespace tidegate::billing
