#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Budgets = v1::Budgets::Stub;

Status alerts(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListAlertsRequest request;
  request.set_tenant(arguments.words().empty() ? "" : arguments.words()[0]);
  request.mutable_page()->set_limit(100);
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Budgets::ListAlerts, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"RAISED", "TENANT", "KIND", "SUBJECT", "PERCENT", "USED", "LIMIT", "DELIVERED", "LAST ERROR"});
  for (const auto& alert : list.alerts()) {
    table.add({time_text(alert.raised_us()), alert.tenant_name(), alert.kind(), alert.subject_id(),
               std::to_string(alert.threshold()), alert.used(), alert.limit(), time_text(alert.delivered_us()),
               alert.last_error()});
  }
  fmt::print("{}", table.render());
  return {};
}

Status webhook_set(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SetWebhookRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  request.set_url(arguments.words().size() > 1 ? arguments.words()[1] : "");
  TG_ASSIGN(const v1::Webhook webhook, connection.call(&Budgets::SetWebhook, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(webhook));
  } else if (webhook.url().empty()) {
    fmt::print("alerts of {} are sent nowhere\n", webhook.tenant_name());
  } else {
    fmt::print("alerts of {} go to {}, signed with (shown once):\n{}\n", webhook.tenant_name(), webhook.url(), webhook.secret());
  }
  return {};
}

}  // namespace

std::vector<Command> alert_commands() {
  return {
      {"alerts", "Show which wallets and caps passed 50, 80 or 100 percent, newest first.", "[TENANT] [--after ALERT]",
       "  tidegate alerts acme\n", {"after"}, {}, alerts},
      {"webhook set", "Send a tenant's alerts to a URL, signed; without URL, nowhere.", "TENANT [URL]",
       "  tidegate webhook set acme https://hooks.acme.example/tidegate\n", {}, {}, webhook_set},
  };
}

}  // namespace tidegate::cli
