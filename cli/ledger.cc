#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

Status ledger(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListLedgerRequest request;
  request.set_tenant(arguments.option("tenant"));
  TG_ASSIGN(const auto limit, arguments.integer_option("limit", 20));
  request.mutable_page()->set_limit(static_cast<std::int32_t>(limit));
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Billing::ListLedger, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"POSTED", "TRANSACTION", "SOURCE", "ACCOUNT", "DEBIT", "CREDIT"});
  for (const auto& tx : list.transactions()) {
    for (const auto& entry : tx.entries()) {
      const bool is_credit = entry.amount().starts_with("-");
      const std::string amount = (is_credit ? entry.amount().substr(1) : entry.amount()) + " " + entry.currency();
      table.add({time_text(tx.posted_us()), tx.tx_id(), tx.source_type(), entry.account(), is_credit ? "" : amount,
                 is_credit ? amount : ""});
    }
  }
  fmt::print("{}", table.render());
  return {};
}

Status reconcile(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto report, connection.call(&Billing::Reconcile, connection.billing(), v1::ReconcileRequest()));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(report));
  } else {
    for (const auto& check : report.checks()) {
      fmt::print("{:<4} {:>6}  {}\n", check.name(), check.differences(), check.statement());
      if (check.differences() > 0) fmt::print("             first: {}\n", check.example());
    }
    fmt::print("{} usage events examined\n", report.events());
  }
  fmt::print(arguments.wants_json() ? stderr : stdout, "reconcile: {} differences\n", report.differences());
  // Found differences are this command's answer and its exit code; there is nothing further to explain.
  if (report.differences() > 0) return fail(Code::kDataLoss, "differences", "");
  return {};
}

}  // namespace

std::vector<Command> ledger_commands() {
  return {
      {"ledger", "Show ledger transactions, newest first.", "[--tenant TENANT] [--limit N] [--after TX]",
       "  tidegate ledger --tenant acme\n", {"tenant", "limit", "after"}, {}, ledger},
      {"reconcile", "Prove the money invariants over everything stored; exit code 1 when one is broken.", "",
       "  tidegate reconcile\n  tidegate reconcile --json\n", {}, {}, reconcile},
  };
}

}  // namespace tidegate::cli
