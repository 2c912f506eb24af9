#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "base/core/log.h"
#include "base/core/money.h"
#include "billing/vectors/billing_vectors.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "file_unreadable", fmt::format("cannot read '{}'", path), path);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

std::string local_time(std::int32_t seconds) { return fmt::format("{:02}:{:02}", seconds / 3600, seconds / 60 % 60); }

/// "09:00-12:00 14:00-18:00 Asia/Shanghai days 12345 except CN-2026", or "otherwise".
std::string when(const v1::PriceSchedule& schedule) {
  if (schedule.is_default()) return "otherwise";
  std::string text;
  for (const auto& window : schedule.windows()) text += local_time(window.start_s()) + "-" + local_time(window.end_s()) + " ";
  text += schedule.tz() + " days ";
  for (const auto day : schedule.days()) text += std::to_string(day);
  if (!schedule.exclude_calendar().empty()) text += " except " + schedule.exclude_calendar();
  return text;
}

std::string rate_of(const v1::PriceSchedule& schedule, std::string_view meter) {
  for (const auto& rate : schedule.rates()) {
    if (rate.meter() == meter) return Rate::from_micro_per_million(rate.micro_per_million()).to_string();
  }
  return "-";
}

void add_rows(TextTable& table, const v1::PriceVersion& version) {
  for (const auto& schedule : version.schedules()) {
    const std::string place = (version.region().empty() ? "*" : version.region()) + "/" + (version.pool().empty() ? "*" : version.pool());
    table.add({version.model(), version.currency(), place, fmt::format("{}/{}", version.book(), version.id()), schedule.name(),
               when(schedule), rate_of(schedule, "input_cache_hit"), rate_of(schedule, "input_cache_miss"),
               rate_of(schedule, "output"), time_text(version.effective_from_us()), time_text(version.effective_to_us())});
  }
}

Status list_prices(const Arguments& arguments, const std::string& model, bool include_past) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListPricesRequest request;
  request.set_model(model);
  request.set_include_past(include_past);
  TG_ASSIGN(const auto list, connection.call(&Billing::ListPrices, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"MODEL", "CUR", "PLACE", "VERSION", "BAND", "WHEN", "HIT/1M", "MISS/1M", "OUT/1M", "FROM", "TO"});
  for (const auto& version : list.prices()) add_rows(table, version);
  fmt::print("{}", table.render());
  return {};
}

Status price_list(const Arguments& arguments) { return list_prices(arguments, "", arguments.has("past")); }

Status price_show(const Arguments& arguments) {
  TG_ASSIGN(const std::string model, arguments.word(0, "MODEL"));
  return list_prices(arguments, model, true);
}

Status price_load(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const std::string path, arguments.word(0, "FILE"));
  v1::LoadPricesRequest request;
  TG_ASSIGN(*request.mutable_file_json(), read_text(path));
  TG_ASSIGN(const auto done, connection.call(&Billing::LoadPrices, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(done));
  } else {
    fmt::print("{}: {} price versions added, {} unchanged, {} calendars added\n", path, done.versions_added(),
               done.versions_unchanged(), done.calendars_added());
  }
  return {};
}

Status price_test(const Arguments& arguments) {
  TG_ASSIGN(const std::string path, arguments.word(0, "FILE"));
  TG_ASSIGN(const std::string text, read_text(path));
  TG_ASSIGN(const price::VectorReport report, billing::run_every_vector(text));
  if (arguments.wants_json()) {
    std::string failures;
    for (const auto& failure : report.failures) {
      if (!failures.empty()) failures += ',';
      append_json_string(failures, failure);
    }
    fmt::print(R"({{"passed":{},"failed":{},"failures":[{}]}})" "\n", report.passed, report.failed, failures);
  } else {
    fmt::print("{}", report.to_text());
  }
  // The failures are printed; the exit code is all that is left to say.
  if (report.failed > 0) return fail(Code::kFailedPrecondition, "vectors_failed", "");
  return {};
}

}  // namespace

std::vector<Command> price_commands() {
  return {
      {"price list", "List published price versions, current and scheduled.", "[--past]", "  tidegate price list\n", {}, {"past"},
       price_list},
      {"price show", "Show every version of one model, past ones too.", "MODEL", "  tidegate price show tang-moe\n", {}, {}, price_show},
      {"price load", "Publish a price file; the same content twice changes nothing.", "FILE",
       "  tidegate price load models/prices/tang-moe.json\n", {}, {}, price_load},
      {"price test", "Run rating vectors and print 'N passed, M failed'. Needs no installation.", "FILE",
       "  tidegate price test tests/golden/rating-vectors.json\n", {}, {}, price_test},
  };
}

}  // namespace tidegate::cli
