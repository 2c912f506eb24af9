#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/invoice_store.h"

/// Reading invoices. Everything runs in the caller's transaction.
namespace tidegate::billing {

/// By id, invoice number or credit note number. Fails: not_found/unknown_invoice.
Result<InvoiceRow> find_invoice(pqxx::work& tx, const std::string& invoice);
/// Newest first; `page.after` is the last id of the page before.
std::vector<InvoiceRow> list_invoices(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);

/// The next issued invoice by id after `after`; times are of the period's begin in microseconds, 0 = any.
struct ExportFilter {
  std::optional<TenantId> tenant;
  std::int64_t from_us = 0, to_us = 0;
  std::string after;  ///< invoice id, or ""
};
std::optional<Uuid> next_issued(pqxx::work& tx, const ExportFilter& filter);

/// In their printed order, with project names beside; `with_parts` brings days and keys.
struct InvoiceLineRow {
  int number = 0;
  std::string project_name;  ///< empty unless of requests
  std::string price_book;    ///< of the price version
  InvoiceLine line;
};
std::vector<InvoiceLineRow> load_lines(pqxx::work& tx, const Uuid& invoice, bool with_parts);

/// A request's share of a line. The sum over all pages is the line, exactly.
struct LineRequest {
  RequestId request;
  ApiKeyId api_key;
  Wall completed;
  std::int64_t quantity = 0;
  Money amount;
  bool is_reversal = false;  ///< the share that a later rating took back
  Uuid ledger_tx;
};
/// By ascending request id after `page.after`. Whole requests: a page may hold one more than its limit.
/// Fails: not_found/unknown_line; failed_precondition/no_requests for an adjustment or a credit.
Result<std::vector<LineRequest>> list_line_requests(pqxx::work& tx, const InvoiceRow& invoice, int line,
                                                    const PageOf& page);

/// Names of keys for exports, as (id, name).
std::vector<std::pair<ApiKeyId, std::string>> list_key_names(pqxx::work& tx, TenantId tenant);

/// The wallet's top-ups posted within the invoice's period, for the statement of account.
struct PaymentRow {
  Uuid id;
  Wall posted;
  std::string note;
  Money amount;
};
std::vector<PaymentRow> list_payments(pqxx::work& tx, const InvoiceRow& invoice);

/// Shared with invoice_store: the columns of an InvoiceRow in the order read_invoice takes them.
extern const char* const kInvoiceSelect;
InvoiceRow read_invoice(const pqxx::row& row);

}  // namespace tidegate::billing
