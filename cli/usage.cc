#include <fmt/format.h>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

std::string status_name(v1::UsageStatus status) {
  // "USAGE_STATUS_COMPLETED" -> "completed"
  std::string name = v1::UsageStatus_Name(status).substr(13);
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}

Status usage_sum(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SumUsageRequest request;
  request.set_tenant(arguments.option("tenant"));
  TG_ASSIGN(const auto from, arguments.instant_option("from"));
  TG_ASSIGN(const auto to, arguments.instant_option("to"));
  request.set_from_us(from);
  request.set_to_us(to);
  TG_ASSIGN(const auto list, connection.call(&Billing::SumUsage, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"HOUR", "TENANT", "PROJECT", "MODEL", "PLACE", "BAND", "METER", "TOKENS", "AMOUNT"});
  for (const auto& sum : list.sums()) {
    table.add({time_text(sum.hour_us()), sum.tenant_name(), sum.project_name(), sum.model(), sum.region() + "/" + sum.pool(),
               sum.band(), sum.meter(), std::to_string(sum.quantity()), sum.amount() + " " + sum.currency()});
  }
  fmt::print("{}", table.render());
  return {};
}

Status usage(const Arguments& arguments) {
  if (arguments.has("sum")) return usage_sum(arguments);
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListUsageRequest request;
  request.set_tenant(arguments.option("tenant"));
  request.set_request_id(arguments.option("request"));
  TG_ASSIGN(const auto from, arguments.instant_option("from"));
  TG_ASSIGN(const auto to, arguments.instant_option("to"));
  request.set_from_us(from);
  request.set_to_us(to);
  TG_ASSIGN(const auto limit, arguments.integer_option("limit", 20));
  request.mutable_page()->set_limit(static_cast<std::int32_t>(limit));
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Billing::ListUsage, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"COMPLETED", "REQUEST", "TENANT", "MODEL", "STATUS", "PROMPT", "HIT", "OUT", "BAND", "AMOUNT"});
  for (const auto& row : list.rows()) {
    const auto& event = row.event();
    const auto id = Uuid::from_bytes(event.request_id());
    table.add({time_text(event.completed_us()), id ? id->to_string() : "?", row.tenant_name(), event.model(),
               status_name(event.status()), std::to_string(event.prompt_tokens()), std::to_string(event.cached_tokens()),
               std::to_string(event.completion_tokens()), event.band(), event.amount()});
  }
  fmt::print("{}", table.render());
  return {};
}

}  // namespace

std::vector<Command> usage_commands() {
  return {{"usage", "Show requests as they were billed, newest first, or hourly sums.",
           "[--tenant TENANT] [--request ID] [--from INSTANT] [--to INSTANT] [--limit N] [--after ID] [--sum]",
           "  tidegate usage --limit 5\n"
           "  tidegate usage --request 01956a3e-7c00-7000-8000-000000000000 --json\n"
           "  tidegate usage --sum --tenant acme --from 2026-11-01T00:00:00Z\n",
           {"tenant", "request", "from", "to", "limit", "after"}, {"sum"}, usage}};
}

}  // namespace tidegate::cli
