#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

Status wallet_show(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListWalletsRequest request;
  request.set_tenant(arguments.words().empty() ? "" : arguments.words()[0]);
  request.mutable_page()->set_limit(1000);
  TG_ASSIGN(const auto list, connection.call(&Billing::ListWallets, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"TENANT", "WALLET", "CURRENCY", "BALANCE", "LEASED", "CREDIT LIMIT", "AVAILABLE"});
  for (const auto& wallet : list.wallets()) {
    table.add({wallet.tenant_name(), wallet.wallet_id(), wallet.currency(), wallet.balance(), wallet.leased(),
               wallet.credit_limit(), wallet.available()});
  }
  fmt::print("{}", table.render());
  return {};
}

Status wallet_top_up(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::TopUpRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(*request.mutable_amount(), arguments.word(1, "AMOUNT"));
  request.set_top_up_id(arguments.option("id"));
  request.set_note(arguments.option("note"));
  TG_ASSIGN(const v1::Wallet wallet, connection.call(&Billing::TopUp, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(wallet));
  } else {
    fmt::print("{} {} balance, {} available\n", wallet.balance(), wallet.currency(), wallet.available());
  }
  return {};
}

}  // namespace

std::vector<Command> wallet_commands() {
  return {
      {"wallet show", "Show balances: paid in minus charged, and what gateways hold of it.", "[TENANT]",
       "  tidegate wallet show acme\n", {}, {}, wallet_show},
      {"wallet top-up", "Credit a wallet. The same --id credits once, however often it is sent.",
       "TENANT AMOUNT [--id UUID] [--note TEXT]", "  tidegate wallet top-up acme 25.00 --note 'order 1001'\n", {"id", "note"}, {},
       wallet_top_up},
  };
}

}  // namespace tidegate::cli
