#include <fmt/format.h>

#include <charconv>
#include <map>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/money.h"
#include "base/price/calendar_month.h"
#include "billing/vectors/billing_vectors.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_file.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

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

template <typename Rates>
std::string rate_in(const Rates& rates, std::string_view meter) {
  for (const auto& rate : rates) {
    if (rate.meter() == meter) return Rate::from_micro_per_million(rate.micro_per_million()).to_string();
  }
  return "-";
}

std::string rate_of(const v1::PriceSchedule& schedule, std::string_view meter) { return rate_in(schedule.rates(), meter); }

void add_rows(TextTable& table, const v1::PriceVersion& version) {
  for (const auto& schedule : version.schedules()) {
    std::string place = (version.region().empty() ? "*" : version.region()) + "/" + (version.pool().empty() ? "*" : version.pool());
    if (!version.tenant().empty()) place += " tenant " + version.tenant();
    table.add({version.model(), version.currency(), place, fmt::format("{}/{}", version.book(), version.id()), schedule.name(),
               when(schedule), rate_of(schedule, "input_cache_hit"), rate_of(schedule, "input_cache_miss"),
               rate_of(schedule, "output"), time_text(version.effective_from_us()), time_text(version.effective_to_us())});
    for (const auto& tier : schedule.long_prompts()) {
      table.add({"", "", "", "", "", fmt::format("prompts over {}", tier.over()), rate_in(tier.rates(), "input_cache_hit"),
                 rate_in(tier.rates(), "input_cache_miss"), rate_in(tier.rates(), "output"), "", ""});
    }
  }
  if (!version.minimum_charge().empty()) {
    table.add({"", "", "", "", "", "a request costs at least", "", "", version.minimum_charge(), "", ""});
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
  if (list.modifiers().empty()) return {};
  TextTable modifiers({"MODIFIER", "ID", "FACTOR", "TENANT", "MODEL", "FROM", "TO"});
  for (const auto& modifier : list.modifiers()) {
    modifiers.add({modifier.name(), std::to_string(modifier.id()), fmt::format("{}/{}", modifier.num(), modifier.den()),
                   modifier.tenant().empty() ? "*" : modifier.tenant(), modifier.model().empty() ? "*" : modifier.model(),
                   time_text(modifier.effective_from_us()), time_text(modifier.effective_to_us())});
  }
  fmt::print("\n{}", modifiers.render());
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
    fmt::print("{}: {} price versions added, {} ended, {} modifiers added, {} ended, {} unchanged, {} calendars added\n", path,
               done.versions_added(), done.versions_ended(), done.modifiers_added(), done.modifiers_ended(),
               done.versions_unchanged(), done.calendars_added());
  }
  return {};
}

Status price_withdraw(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const std::string text, arguments.word(0, "ID"));
  std::int64_t id = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || id <= 0) {
    return fail(Code::kInvalidArgument, "bad_usage",
                fmt::format("'{}' is not the number of a version; `tidegate price list` shows them", text), "ID");
  }
  v1::WithdrawPriceRequest request;
  arguments.has("modifier") ? request.set_modifier(id) : request.set_price_version(id);
  TG_ASSIGN(const auto done, connection.call(&v1::Pricing::Stub::WithdrawPrice, connection.pricing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(done));
  } else if (arguments.has("modifier")) {
    fmt::print("modifier {} withdrawn\n", done.modifier().name());
  } else {
    fmt::print("{}/{} withdrawn{}\n", done.price().book(), id,
               done.resumed_version() == 0 ? "" : fmt::format("; version {} goes on instead", done.resumed_version()));
  }
  return {};
}

struct PreviewSums {
  std::int64_t requests = 0, dearer = 0, cheaper = 0, unpriced = 0;
  Money before, after;
};

/// The change in percent, to two places; "-" from nothing.
std::string change_text(Money before, Money after) {
  if (before.is_zero()) return after.is_zero() ? "0" : "-";
  const double ratio = after.to_double_approx() / before.to_double_approx() - 1;
  return fmt::format("{:+.2f} %", 100 * ratio);
}

/// Last month in UTC, unless --month says another.
Result<price::CalendarMonth> preview_month(const Arguments& arguments) {
  if (const std::string label = arguments.option("month"); !label.empty()) return price::month_labelled("UTC", label);
  const Wall now = SystemClock().wall();
  TG_ASSIGN(const auto current, price::month_of("UTC", now));
  return price::month_of("UTC", current.begin - std::chrono::hours(1));
}

Status price_preview(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const std::string path, arguments.word(0, "FILE"));
  v1::PreviewPricesRequest request;
  TG_ASSIGN(*request.mutable_file_json(), read_text(path));
  TG_ASSIGN(const auto month, preview_month(arguments));
  request.set_from_us(unix_micros(month.begin));
  request.set_to_us(unix_micros(month.end));
  std::map<std::pair<std::string, std::string>, PreviewSums> sums;
  while (true) {
    TG_ASSIGN(const auto answer, connection.call(&v1::Pricing::Stub::PreviewPrices, connection.pricing(), request));
    for (const auto& line : answer.lines()) {
      PreviewSums& sum = sums[{line.model(), line.currency()}];
      sum.requests += line.requests();
      sum.dearer += line.dearer();
      sum.cheaper += line.cheaper();
      sum.unpriced += line.unpriced();
      TG_ASSIGN(const Money before, Money::parse(line.before()));
      TG_ASSIGN(const Money after, Money::parse(line.after()));
      sum.before += before;
      sum.after += after;
    }
    if (answer.is_finished()) break;
    request.set_cursor(answer.cursor());
  }
  if (arguments.wants_json()) {
    v1::PreviewPricesResponse whole;
    for (const auto& [key, sum] : sums) {
      auto* line = whole.add_lines();
      line->set_model(key.first);
      line->set_currency(key.second);
      line->set_requests(sum.requests);
      line->set_dearer(sum.dearer);
      line->set_cheaper(sum.cheaper);
      line->set_unpriced(sum.unpriced);
      line->set_before(sum.before.to_string());
      line->set_after(sum.after.to_string());
    }
    whole.set_is_finished(true);
    fmt::print("{}\n", message_json(whole));
    return {};
  }
  fmt::print("usage of {} (UTC) as if {} had been in force:\n", month.label, path);
  TextTable table({"MODEL", "CUR", "REQUESTS", "DEARER", "CHEAPER", "UNPRICED", "REVENUE", "UNDER THE DRAFT", "CHANGE"});
  for (const auto& [key, sum] : sums) {
    table.add({key.first, key.second, std::to_string(sum.requests), std::to_string(sum.dearer), std::to_string(sum.cheaper),
               std::to_string(sum.unpriced), sum.before.to_string(), sum.after.to_string(), change_text(sum.before, sum.after)});
  }
  fmt::print("{}", table.render());
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
      {"price withdraw", "Take back a price version (or with --modifier a modifier) that has not begun.", "ID [--modifier]",
       "  tidegate price withdraw 7\n", {}, {"modifier"}, price_withdraw},
      {"price preview", "Rate last month's usage as if a price file had been in force, and show the change of revenue.",
       "FILE [--month YYYY-MM]", "  tidegate price preview next-year.json --month 2026-10\n", {"month"}, {}, price_preview},
      {"price test", "Run rating vectors and print 'N passed, M failed'. Needs no installation.", "FILE",
       "  tidegate price test tests/golden/rating-vectors.json\n", {}, {}, price_test},
  };
}

}  // namespace tidegate::cli
