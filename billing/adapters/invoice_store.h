#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "billing/adapters/account_store.h"
#include "billing/adapters/profile_store.h"
#include "billing/core/invoice.h"

/// Invoices in PostgreSQL. Everything runs in the caller's transaction; what writes locks the wallet first.
namespace tidegate::billing {

struct Party {
  std::string name, address, tax_id;
};
struct InvoiceRow {
  Uuid id;
  WalletId wallet;
  TenantId tenant;
  std::string tenant_name, currency, month, tz, status;
  Wall begin, end;
  InvoiceTotals totals;
  int decimals = 2;
  std::string issuer;
  Party seller, buyer;
  std::string tax_name;
  TaxRate tax_rate;
  Wall created;
  std::string number, credit_note, void_reason;
  std::optional<Wall> issued, voided;
  std::optional<Uuid> replaces;
};

/// A wallet with a month that has ended and is not closed.
struct DueWallet {
  WalletId wallet;
  TenantId tenant;
  std::string tenant_name, tz, currency;
  Wall closed_through;  ///< or the begin of the month of the tenant's creation
};
/// Wallets of one tenant or of all, by id. Those whose month is still open are among them.
std::vector<DueWallet> list_wallets_to_close(pqxx::work& tx, const std::optional<TenantId>& tenant);

struct CloseOptions {
  Uuid invoice;                        ///< id of the invoice to make
  Uuid issue_tx;                       ///< id of its ledger transaction
  bool is_draft = false;               ///< leave it a draft for a person to issue
  std::chrono::microseconds grace{0};  ///< after the month's end before it is closed
};
struct ClosedMonth {
  std::string month;
  std::optional<InvoiceRow> invoice;  ///< none when nothing was charged: no number is spent on nothing
};
/// Closes the wallet's next month, once: nullopt when it has not ended by `now - grace`. From the commit on, whatever
/// is posted to the wallet is posted in the following month. Calling it again goes on with the next month. Fails:
/// invalid_argument/unknown_currency, data_loss/ledger_differs.
Result<std::optional<ClosedMonth>> close_next_month(pqxx::work& tx, const DueWallet& wallet,
                                                    const CloseOptions& options, Wall now);

/// What the open month would be invoiced at `now`: lines and totals, nothing is written; without number and state
/// "open".
Result<std::pair<InvoiceRow, std::vector<InvoiceLine>>> preview_month(pqxx::work& tx, const DueWallet& wallet,
                                                                      Wall now);

/// A draft gets its number, and residue and tax their ledger transaction. An issued one is returned as it is.
/// Fails: not_found/unknown_invoice, failed_precondition/invoice_void.
Result<InvoiceRow> issue_invoice(pqxx::work& tx, const Uuid& invoice, const Uuid& tx_id, Wall now);
/// The row stays; an issued one gets a credit note and its ledger transaction is reversed. A void one is returned as it
/// is. Fails: not_found/unknown_invoice.
Result<InvoiceRow> void_invoice(pqxx::work& tx, const Uuid& invoice, const std::string& reason, const Uuid& tx_id,
                                Wall now);
/// A new invoice for the period of a void one, from the same ledger with today's profile; a draft until issued.
/// Fails: not_found/unknown_invoice, failed_precondition/{invoice_not_void, already_replaced}.
Result<InvoiceRow> replace_invoice(pqxx::work& tx, const Uuid& voided, const Uuid& new_id, Wall now);

}  // namespace tidegate::billing
