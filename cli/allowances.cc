#include <fmt/format.h>

#include "base/core/money.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_file.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Pricing = v1::Pricing::Stub;

/// "over 0: 4, over 1000000: 3", or "first 1000000 free".
std::string terms(const v1::AllowancePlan& plan) {
  if (plan.tiers().empty()) return fmt::format("first {} free", plan.free_tokens());
  std::string text;
  for (const auto& tier : plan.tiers()) {
    if (!text.empty()) text += ", ";
    text += fmt::format("over {}: {}", tier.over(), Rate::from_micro_per_million(tier.micro_per_million()).to_string());
  }
  return text;
}

std::string or_star(const std::string& text) { return text.empty() ? "*" : text; }

Status allowance_load(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const std::string path, arguments.word(0, "FILE"));
  v1::LoadAllowancesRequest request;
  TG_ASSIGN(*request.mutable_file_json(), read_text(path));
  TG_ASSIGN(const auto done, connection.call(&Pricing::LoadAllowances, connection.pricing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(done));
  } else {
    fmt::print("{}: {} allowances added, {} ended, {} unchanged\n", path, done.added(), done.ended(), done.unchanged());
  }
  return {};
}

Status allowance_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListAllowancesRequest request;
  request.set_include_past(arguments.has("past"));
  TG_ASSIGN(const auto list, connection.call(&Pricing::ListAllowances, connection.pricing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"NAME", "KIND", "TENANT", "MODEL", "CUR", "TERMS A MONTH", "FROM", "TO"});
  for (const auto& plan : list.allowances()) {
    table.add({plan.name(), plan.kind(), or_star(plan.tenant()), or_star(plan.model()), plan.currency(), terms(plan),
               time_text(plan.effective_from_us()), time_text(plan.effective_to_us())});
  }
  fmt::print("{}", table.render());
  return {};
}

}  // namespace

std::vector<Command> allowance_commands() {
  return {
      {"allowance load", "Publish monthly tiers and free quotas from a file; the same content twice changes nothing.", "FILE",
       "  tidegate allowance load allowances.json\n", {}, {}, allowance_load},
      {"allowance list", "List monthly tiers and free quotas.", "[--past]", "  tidegate allowance list\n", {}, {"past"},
       allowance_list},
  };
}

}  // namespace tidegate::cli
