#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Budgets = v1::Budgets::Stub;

std::string join(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ",") + word;
  return out.empty() ? "all" : out;
}

Status print_grant(const Arguments& arguments, const v1::Grant& grant) {
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(grant));
  } else {
    fmt::print("{} {} {} left of {}, until {}\n", grant.grant_id(), grant.left(), grant.currency(), grant.amount(),
               time_text(grant.expires_us()));
  }
  return {};
}

Status grant_create(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::CreateGrantRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(*request.mutable_amount(), arguments.word(1, "AMOUNT"));
  TG_ASSIGN(const std::string until, arguments.required_option("expires"));
  const auto expires = parse_rfc3339(until);
  if (!expires) {
    return fail(Code::kInvalidArgument, "bad_usage", "--expires must be like 2027-01-01T00:00:00Z");
  }
  request.set_expires_us(unix_micros(*expires));
  TG_ASSIGN(const auto priority, arguments.integer_option("priority", 100));
  request.set_priority(static_cast<std::int32_t>(priority));
  request.set_name(arguments.option("name"));
  if (!arguments.option("model").empty()) request.add_models(arguments.option("model"));
  request.set_grant_id(arguments.option("id"));
  TG_ASSIGN(const v1::Grant grant, connection.call(&Budgets::CreateGrant, connection.budgets(), request));
  return print_grant(arguments, grant);
}

Status grant_void(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::VoidGrantRequest request;
  TG_ASSIGN(*request.mutable_grant_id(), arguments.word(0, "GRANT"));
  TG_ASSIGN(const v1::Grant grant, connection.call(&Budgets::VoidGrant, connection.budgets(), request));
  return print_grant(arguments, grant);
}

Status grant_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListGrantsRequest request;
  request.set_tenant(arguments.words().empty() ? "" : arguments.words()[0]);
  request.mutable_page()->set_limit(1000);
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Budgets::ListGrants, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"GRANT", "TENANT", "NAME", "AMOUNT", "USED", "LAPSED", "LEFT", "PRIORITY", "MODELS", "EXPIRES", "STATE"});
  for (const auto& grant : list.grants()) {
    table.add({grant.grant_id(), grant.tenant_name(), grant.name(), grant.amount(), grant.consumed(), grant.lapsed(),
               grant.left(), std::to_string(grant.priority()), join(grant.models()), time_text(grant.expires_us()),
               grant.voided_us() != 0 ? "voided" : "open"});
  }
  fmt::print("{}", table.render());
  return {};
}

Status credit_limit(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SetCreditLimitRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(*request.mutable_credit_limit(), arguments.word(1, "LIMIT"));
  TG_ASSIGN(const v1::Wallet wallet, connection.call(&Budgets::SetCreditLimit, connection.budgets(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(wallet));
  } else {
    fmt::print("{} {} credit limit, {} available\n", wallet.credit_limit(), wallet.currency(), wallet.available());
  }
  return {};
}

}  // namespace

std::vector<Command> grant_commands() {
  return {
      {"grant create", "Give money that is used before what was paid in, until it expires.",
       "TENANT AMOUNT --expires TIME [--priority N] [--model NAME] [--name TEXT] [--id UUID]",
       "  tidegate grant create acme 10 --expires 2027-01-01T00:00:00Z --name welcome\n",
       {"expires", "priority", "model", "name", "id"}, {}, grant_create},
      {"grant list", "Show grants: what is left of them and when they expire.", "[TENANT] [--after GRANT]",
       "  tidegate grant list acme\n", {"after"}, {}, grant_list},
      {"grant void", "Take back what is left of a grant.", "GRANT",
       "  tidegate grant void 01990000-0000-7000-8000-000000000001\n", {}, {}, grant_void},
      {"wallet credit-limit", "Set how far below zero a wallet may go: 0 is prepaid.", "TENANT LIMIT",
       "  tidegate wallet credit-limit acme 500\n", {}, {}, credit_limit},
  };
}

}  // namespace tidegate::cli
