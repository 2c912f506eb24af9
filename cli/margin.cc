#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_file.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Statements = v1::Statements::Stub;

void add_row(TextTable& table, const std::string& name, const v1::MarginRow& row) {
  table.add({name, row.hour_us() == 0 ? "" : time_text(row.hour_us()), row.band(), row.tokens(),
             row.accelerator_hours(), row.list_revenue(), row.revenue(), row.cost(), row.margin(),
             row.margin_percent().empty() ? "-" : row.margin_percent() + "%"});
}

Status margin(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::GetMarginRequest request;
  TG_ASSIGN(const auto from, arguments.required_option("from"));
  TG_ASSIGN(const auto to, arguments.required_option("to"));
  TG_ASSIGN(const Wall begin, parse_rfc3339(from));
  TG_ASSIGN(const Wall end, parse_rfc3339(to));
  request.set_from_us(unix_micros(begin));
  request.set_to_us(unix_micros(end));
  request.set_by(arguments.option("by"));
  request.set_currency(arguments.option("currency"));
  request.set_model(arguments.option("model"));
  TG_ASSIGN(const auto report, connection.call(&Statements::GetMargin, connection.statements(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(report));
    return {};
  }
  TextTable table({"MODEL", "HOUR", "BAND", "TOKENS", "ACC-HOURS", "LIST", "REVENUE", "COST", "MARGIN", "OF COST"});
  for (const auto& row : report.rows()) add_row(table, row.model(), row);
  add_row(table, "total", report.total());
  fmt::print("{}of the cost, {} stood idle\n", table.render(), report.idle_cost());
  return {};
}

Status margin_load(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto path, arguments.word(0, "FILE"));
  v1::LoadCostsRequest request;
  TG_ASSIGN(*request.mutable_file_json(), read_text(path));
  TG_ASSIGN(const auto loaded, connection.call(&Statements::LoadCosts, connection.statements(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(loaded));
  } else {
    fmt::print("{} rates and {} uses added, {} unchanged\n", loaded.rates_added(), loaded.allocations_added(),
               loaded.unchanged());
  }
  return {};
}

}  // namespace

std::vector<Command> margin_commands() {
  return {
      {"margin",
       "Revenue, accelerator cost and margin by model, hour or price band.",
       "--from INSTANT --to INSTANT [--by model|hour|band] [--model MODEL] [--currency CODE]",
       "  tidegate margin --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --by band\n",
       {"from", "to", "by", "model", "currency"},
       {},
       margin},
      {"margin load",
       "Load what accelerators cost and what they were used for, from a file (docs/api/cost_file.md).",
       "FILE",
       "  tidegate margin load costs.json\n",
       {},
       {},
       margin_load},
  };
}

}  // namespace tidegate::cli
