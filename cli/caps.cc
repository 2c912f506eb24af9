#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Budgets = v1::Budgets::Stub;

std::string cap_subject(const v1::Cap& cap) {
  if (!cap.subject_name().empty()) return cap.subject_name();
  return cap.subject().empty() ? "-" : cap.subject();
}

Status cap_set(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SetCapRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(*request.mutable_amount(), arguments.word(1, "AMOUNT"));
  request.set_project(arguments.option("project"));
  request.set_key(arguments.option("key"));
  request.set_user(arguments.option("user"));
  request.set_every_user(arguments.has("every-user"));
  request.set_period(arguments.option("period"));
  TG_ASSIGN(const v1::Cap cap, connection.call(&Budgets::SetCap, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(cap));
  } else {
    fmt::print("{} {} cap of {} {}: {} {}\n", cap.cap_id(), cap.period(), cap.scope(), cap_subject(cap),
               cap.amount(), cap.currency());
  }
  return {};
}

Status cap_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListCapsRequest request;
  request.set_tenant(arguments.words().empty() ? "" : arguments.words()[0]);
  request.set_include_removed(arguments.has("removed"));
  request.mutable_page()->set_limit(1000);
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Budgets::ListCaps, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"CAP", "TENANT", "SCOPE", "SUBJECT", "PERIOD", "LIMIT", "SPENT", "LEASED", "RESETS"});
  for (const auto& cap : list.caps()) {
    const auto& spend = cap.current();
    table.add({cap.cap_id(), cap.tenant_name(), cap.scope(), cap_subject(cap), cap.period(), cap.amount(),
               spend.spent().empty() ? "0" : spend.spent(), spend.leased().empty() ? "0" : spend.leased(),
               cap.removed_us() != 0 ? "removed" : time_text(spend.ends_us())});
  }
  fmt::print("{}", table.render());
  return {};
}

Status cap_periods(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListCapPeriodsRequest request;
  TG_ASSIGN(*request.mutable_cap_id(), arguments.word(0, "CAP"));
  request.mutable_page()->set_limit(1000);
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Budgets::ListCapPeriods, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"PERIOD", "END USER", "FROM", "TO", "ALLOWED", "SPENT", "LEASED"});
  for (const auto& spend : list.periods()) {
    table.add({spend.period_id(), spend.end_user().empty() ? "-" : spend.end_user(),
               time_text(spend.starts_us()), time_text(spend.ends_us()), spend.allowed(), spend.spent(),
               spend.leased()});
  }
  fmt::print("{}", table.render());
  return {};
}

Status cap_remove(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::RemoveCapRequest request;
  TG_ASSIGN(*request.mutable_cap_id(), arguments.word(0, "CAP"));
  TG_ASSIGN(const v1::Cap cap, connection.call(&Budgets::RemoveCap, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(cap));
  } else {
    fmt::print("{} removed\n", cap.cap_id());
  }
  return {};
}

}  // namespace

std::vector<Command> cap_commands() {
  return {
      {"cap set",
       "Limit what a tenant, project, key or end user spends in a day, a month or ever; again changes the "
       "limit.",
       "TENANT AMOUNT [--project NAME | --key ID | --user TEXT | --every-user] [--period "
       "monthly|daily|total]",
       "  tidegate cap set acme 500\n  tidegate cap set acme 20 --project demo --period daily\n"
       "  tidegate cap set acme 1 --every-user --period daily\n",
       {"project", "key", "user", "period"},
       {"every-user"},
       cap_set},
      {"cap list",
       "Show limits, what their present period has spent and when it resets.",
       "[TENANT] [--removed] [--after CAP]",
       "  tidegate cap list acme\n",
       {"after"},
       {"removed"},
       cap_list},
      {"cap periods",
       "Show every period of a cap, newest first.",
       "CAP [--after PERIOD]",
       "  tidegate cap periods 01990000-0000-7000-8000-000000000001\n",
       {"after"},
       {},
       cap_periods},
      {"cap remove",
       "End a cap. What it counted stays in the books.",
       "CAP",
       "  tidegate cap remove 01990000-0000-7000-8000-000000000001\n",
       {},
       {},
       cap_remove},
  };
}

}  // namespace tidegate::cli
