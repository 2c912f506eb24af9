#include "base/price/price_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string>

namespace tidegate::price {

namespace {

using Allowed = std::set<std::string_view>;

std::unexpected<Error> refuse(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_price", std::move(message), std::move(field));
}

Status check_members(const json::object& from, const Allowed& allowed, const std::string& path) {
  for (const auto& [key, unused] : from) {
    if (!allowed.contains(std::string_view(key))) {
      const std::string name = json::join_path(path, key);
      return refuse(fmt::format("{} is not a member of the price file format; check its spelling", name), name);
    }
  }
  return {};
}

std::string item_path(std::string_view list, std::size_t index) { return fmt::format("{}[{}]", list, index); }

/// Two digits at `offset`, below `limit`; -1 otherwise.
std::int32_t two_digits(std::string_view text, std::size_t offset, std::int32_t limit) {
  if (text.size() < offset + 2) return -1;
  std::int32_t out = 0;
  for (const char c : text.substr(offset, 2)) {
    if (c < '0' || c > '9') return -1;
    out = out * 10 + (c - '0');
  }
  return out < limit ? out : -1;
}

Result<std::vector<std::string>> read_strings(const json::array& list, const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string()) return refuse(fmt::format("{} must be a string", item_path(path, i)), item_path(path, i));
    out.emplace_back(list[i].as_string());
  }
  return out;
}

Result<std::vector<std::chrono::local_days>> read_dates(const json::value& list, const std::string& path) {
  if (!list.is_array()) return refuse(path + " must be a list of dates", path);
  TG_ASSIGN(const auto texts, read_strings(list.as_array(), path));
  std::vector<std::chrono::local_days> out;
  for (const auto& text : texts) {
    TG_ASSIGN(const auto day, parse_date(text));
    out.push_back(day);
  }
  return out;
}

/// A list of holidays, or an object with holidays and the working days that make up for them.
Result<Calendar> read_calendar(std::string_view id, const json::value& from) {
  static const Allowed kAllowed = {"holidays", "workdays"};
  const std::string path = json::join_path("calendars", id);
  Calendar calendar{std::string(id), 0, {}};
  if (!from.is_object()) {
    TG_ASSIGN(calendar.days, read_dates(from, path));
    return calendar;
  }
  TG_TRY(check_members(from.as_object(), kAllowed, path));
  if (const auto* holidays = from.as_object().if_contains("holidays")) {
    TG_ASSIGN(calendar.days, read_dates(*holidays, path + ".holidays"));
  }
  if (const auto* workdays = from.as_object().if_contains("workdays")) {
    TG_ASSIGN(calendar.workdays, read_dates(*workdays, path + ".workdays"));
  }
  return calendar;
}

Status read_range(const json::object& from, const std::string& path, Wall& first, std::optional<Wall>& last) {
  TG_ASSIGN(const auto effective_from, json::get_string(from, "effective_from", path));
  TG_ASSIGN(first, parse_rfc3339(effective_from));
  TG_ASSIGN(const auto effective_to, json::find_string(from, "effective_to", path));
  if (effective_to) {
    TG_ASSIGN(last, parse_rfc3339(*effective_to));
  }
  return {};
}

Result<std::string> text_or_empty(const json::object& from, std::string_view member,
                                  const std::string& path) {
  TG_ASSIGN(const auto text, json::find_string(from, member, path));
  return text.value_or("");
}

Result<Modifier> read_modifier(const json::object& from, const std::string& path) {
  static const Allowed kAllowed = {"name",           "factor",       "tenant", "model",
                                   "effective_from", "effective_to", "note"};
  TG_TRY(check_members(from, kAllowed, path));
  Modifier out;
  TG_ASSIGN(out.name, json::get_string(from, "name", path));
  TG_ASSIGN(const auto factor, json::get_string(from, "factor", path));
  const auto ratio = Ratio::parse(factor);
  if (!ratio) return refuse(fmt::format("{}.factor: {}", path, ratio.error().message), path + ".factor");
  out.factor = *ratio;
  TG_ASSIGN(out.tenant, text_or_empty(from, "tenant", path));
  TG_ASSIGN(out.model, text_or_empty(from, "model", path));
  TG_TRY(read_range(from, path, out.effective_from, out.effective_to));
  return out;
}

using RatesByCurrency = std::map<std::string, MeterRates>;

Result<RatesByCurrency> read_rates(const json::object& from, const std::string& path) {
  RatesByCurrency out;
  TG_ASSIGN(const auto* rates, json::get_object(from, "rates", path));
  for (const auto& [currency, meters] : *rates) {
    const std::string where = json::join_path(path + ".rates", currency);
    if (!meters.is_object()) return refuse(where + " must map meters to prices", where);
    auto& list = out[std::string(currency)];
    for (const auto& [meter, price] : meters.as_object()) {
      const std::string field = json::join_path(where, meter);
      if (!price.is_string()) {
        return refuse(fmt::format("{} must be a decimal string per 1,000,000 tokens, e.g. \"0.27\"", field),
                      field);
      }
      const auto rate = Rate::parse(price.as_string());
      if (!rate) {
        return refuse(fmt::format("{}: {}; prices are per 1,000,000 tokens, >= 0, at most 6 decimals", field,
                                  rate.error().message),
                      field);
      }
      list.emplace(std::string(meter), *rate);
    }
  }
  return out;
}

/// A schedule with the rates of every currency; a version takes those of its own. One tier per entry of
/// `rates`.
struct FileSchedule {
  Schedule schedule;
  std::vector<RatesByCurrency> rates;
  std::vector<std::int64_t> ends;  ///< up_to of every tier but the last
};

Status read_tiers(const json::object& from, const std::string& path, FileSchedule& out) {
  static const Allowed kAllowed = {"up_to", "rates"};
  if (from.contains("rates")) {
    return refuse(path + " has rates and prompt_tiers; put the rates into the tiers", path + ".rates");
  }
  TG_ASSIGN(const auto* tiers, json::get_array(from, "prompt_tiers", path));
  if (tiers->empty())
    return refuse(path + ".prompt_tiers is empty; write rates instead", path + ".prompt_tiers");
  for (std::size_t i = 0; i < tiers->size(); ++i) {
    const std::string where = item_path(path + ".prompt_tiers", i);
    if (!(*tiers)[i].is_object()) return refuse(where + " must be an object", where);
    const auto& tier = (*tiers)[i].as_object();
    TG_TRY(check_members(tier, kAllowed, where));
    const auto* end = tier.if_contains("up_to");
    const bool is_last = i + 1 == tiers->size();
    if (is_last != (end == nullptr)) {
      return refuse(where + (is_last ? ".up_to: the last tier has no end, or longer prompts had no price"
                                     : ".up_to is missing: only the last tier has no end"),
                    where + ".up_to");
    }
    if (end != nullptr) {
      if (!end->is_int64()) return refuse(where + ".up_to must be a number of tokens", where + ".up_to");
      out.ends.push_back(end->as_int64());
    }
    TG_ASSIGN(auto rates, read_rates(tier, where));
    out.rates.push_back(std::move(rates));
  }
  return {};
}

Result<FileSchedule> read_schedule(const json::object& from, const std::string& path) {
  static const Allowed kAllowed = {"name",  "default",      "tz",  "days", "windows", "exclude_calendar",
                                   "rates", "prompt_tiers", "note"};
  TG_TRY(check_members(from, kAllowed, path));
  FileSchedule out;
  Schedule& schedule = out.schedule;
  TG_ASSIGN(schedule.name, json::get_string(from, "name", path));
  TG_ASSIGN(const auto is_default, json::find_bool(from, "default", path));
  schedule.is_default = is_default.value_or(false);
  TG_ASSIGN(schedule.tz, text_or_empty(from, "tz", path));
  TG_ASSIGN(schedule.exclude_calendar, text_or_empty(from, "exclude_calendar", path));
  if (from.contains("days")) {
    TG_ASSIGN(const auto* days, json::get_array(from, "days", path));
    for (const auto& day : *days) {
      if (!day.is_int64()) return refuse(path + ".days must be numbers from 1 (Monday) to 7", path + ".days");
      schedule.days.push_back(static_cast<int>(std::clamp<std::int64_t>(day.as_int64(), 0, 8)));
    }
  }
  if (from.contains("windows")) {
    TG_ASSIGN(const auto* windows, json::get_array(from, "windows", path));
    TG_ASSIGN(const auto texts, read_strings(*windows, path + ".windows"));
    for (const auto& text : texts) {
      TG_ASSIGN(const auto window, parse_local_window(text));
      schedule.windows.push_back(window);
    }
  }
  if (from.contains("prompt_tiers")) {
    TG_TRY(read_tiers(from, path, out));
  } else {
    TG_ASSIGN(auto rates, read_rates(from, path));
    out.rates.push_back(std::move(rates));
  }
  return out;
}

/// The schedule in one currency. A tier without it stays empty, and build() refuses it by name.
Schedule in_currency(const FileSchedule& from, const std::string& currency) {
  Schedule out = from.schedule;
  auto rates_of = [&](std::size_t tier) {
    const auto found = from.rates[tier].find(currency);
    return found == from.rates[tier].end() ? MeterRates() : found->second;
  };
  out.rates = rates_of(0);
  for (std::size_t i = 0; i < from.ends.size(); ++i)
    out.long_prompts.push_back({from.ends[i], rates_of(i + 1)});
  return out;
}

Result<std::map<std::string, Money>> read_minimums(const json::object& from, const std::string& path) {
  std::map<std::string, Money> out;
  if (!from.contains("minimum_charge")) return out;
  TG_ASSIGN(const auto* list, json::get_object(from, "minimum_charge", path));
  for (const auto& [currency, text] : *list) {
    const std::string field = json::join_path(path + ".minimum_charge", currency);
    if (!text.is_string())
      return refuse(field + " must be a decimal string per request, e.g. \"0.0001\"", field);
    const auto amount = Money::parse(text.as_string());
    if (!amount) return refuse(fmt::format("{}: {}", field, amount.error().message), field);
    out.emplace(std::string(currency), *amount);
  }
  return out;
}

Status read_book(const json::object& from, const std::string& path, PriceFile& out) {
  static const Allowed kAllowed = {"id",           "models",    "region",  "pool",   "effective_from",
                                   "effective_to", "basis",     "version", "source", "currency_note",
                                   "precision",    "schedules", "note",    "tenant", "minimum_charge"};
  TG_TRY(check_members(from, kAllowed, path));
  PriceVersion base;
  TG_ASSIGN(base.book, json::get_string(from, "id", path));
  TG_ASSIGN(base.region, text_or_empty(from, "region", path));
  TG_ASSIGN(base.pool, text_or_empty(from, "pool", path));
  TG_ASSIGN(base.tenant, text_or_empty(from, "tenant", path));
  TG_TRY(read_range(from, path, base.effective_from, base.effective_to));
  TG_ASSIGN(const auto basis, json::find_string(from, "basis", path));
  if (basis) {
    const auto parsed = parse_basis(*basis);
    if (!parsed) {
      return refuse(fmt::format("{}.basis \"{}\" is unknown; use completed_at, admitted_at or started_at", path, *basis),
                    path + ".basis");
    }
    base.basis = *parsed;
  }
  TG_ASSIGN(const auto* models, json::get_array(from, "models", path));
  TG_ASSIGN(const auto names, read_strings(*models, path + ".models"));
  if (names.empty()) return refuse(path + ".models is empty; name at least one model", path + ".models");

  TG_ASSIGN(const auto* list, json::get_array(from, "schedules", path));
  std::vector<FileSchedule> schedules;
  std::set<std::string> currencies;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = item_path(path + ".schedules", i);
    if (!(*list)[i].is_object()) return refuse(where + " must be an object", where);
    TG_ASSIGN(auto schedule, read_schedule((*list)[i].as_object(), where));
    for (const auto& tier : schedule.rates) {
      for (const auto& [currency, unused] : tier) currencies.insert(currency);
    }
    schedules.push_back(std::move(schedule));
  }
  if (currencies.empty()) return refuse(path + ".schedules has no rates in any currency", path + ".schedules");
  TG_ASSIGN(const auto minimums, read_minimums(from, path));
  for (const auto& [currency, unused] : minimums) {
    if (currencies.contains(currency)) continue;
    const std::string field = path + ".minimum_charge." + currency;
    return refuse(field + ": the book has no rates in this currency", field);
  }
  for (const auto& model : names) {
    for (const auto& currency : currencies) {
      PriceVersion version = base;
      version.model = model;
      version.currency = currency;
      if (const auto minimum = minimums.find(currency); minimum != minimums.end())
        version.minimum_charge = minimum->second;
      for (const auto& from_file : schedules) version.schedules.push_back(in_currency(from_file, currency));
      out.versions.push_back(std::move(version));
    }
  }
  return {};
}

}  // namespace

Result<std::int32_t> parse_local_time(std::string_view text) {
  const bool has_seconds = text.size() == 8 && text[5] == ':';
  const std::int32_t hours = two_digits(text, 0, 25);
  const std::int32_t minutes = two_digits(text, 3, 60);
  const std::int32_t seconds = has_seconds ? two_digits(text, 6, 60) : 0;
  const std::int32_t total = hours * 3600 + minutes * 60 + seconds;
  const bool is_shaped = (text.size() == 5 || has_seconds) && text[2] == ':';
  if (!is_shaped || hours < 0 || minutes < 0 || seconds < 0 || total > 86400) {
    return refuse(fmt::format("\"{}\" is not a time of day; write HH:MM or HH:MM:SS from 00:00 to 24:00", text), "windows");
  }
  return total;
}

Result<LocalWindow> parse_local_window(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == text.npos) return refuse(fmt::format("\"{}\" is not a window; write 09:00-12:00", text), "windows");
  LocalWindow window;
  TG_ASSIGN(window.start_s, parse_local_time(text.substr(0, dash)));
  TG_ASSIGN(window.end_s, parse_local_time(text.substr(dash + 1)));
  return window;
}

Result<std::chrono::local_days> parse_date(std::string_view text) {
  int year = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + std::min<std::size_t>(text.size(), 4), year);
  const std::int32_t month = two_digits(text, 5, 13);
  const std::int32_t day = two_digits(text, 8, 32);
  const bool is_shaped = text.size() == 10 && text[4] == '-' && text[7] == '-' && parsed.ptr == text.data() + 4;
  if (is_shaped && month > 0 && day > 0) {
    const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day)));
    if (date.ok()) return std::chrono::local_days(date);
  }
  return refuse(fmt::format("\"{}\" is not a date; write YYYY-MM-DD", text), "calendars");
}

std::string format_local_time(std::int32_t seconds) {
  std::string out = fmt::format("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
  if (seconds % 60 != 0) out += fmt::format(":{:02}", seconds % 60);
  return out;
}

Result<PriceFile> read_price_file(const json::object& root) {
  // "schema", "generated" and "conventions" are those of rating-vectors.json.
  static const Allowed kAllowed = {"calendars", "price_books", "modifiers",   "vectors",
                                   "schema",    "generated",   "conventions", "note"};
  TG_TRY(check_members(root, kAllowed, ""));
  PriceFile out;
  if (root.contains("calendars")) {
    TG_ASSIGN(const auto* calendars, json::get_object(root, "calendars"));
    for (const auto& [id, days] : *calendars) {
      TG_ASSIGN(auto calendar, read_calendar(id, days));
      out.calendars.push_back(std::move(calendar));
    }
  }
  TG_ASSIGN(const auto* books, json::get_array(root, "price_books"));
  for (std::size_t i = 0; i < books->size(); ++i) {
    const std::string path = item_path("price_books", i);
    if (!(*books)[i].is_object()) return refuse(path + " must be an object", path);
    TG_TRY(read_book((*books)[i].as_object(), path, out));
  }
  if (root.contains("modifiers")) {
    TG_ASSIGN(const auto* modifiers, json::get_array(root, "modifiers"));
    for (std::size_t i = 0; i < modifiers->size(); ++i) {
      const std::string path = item_path("modifiers", i);
      if (!(*modifiers)[i].is_object()) return refuse(path + " must be an object", path);
      TG_ASSIGN(auto modifier, read_modifier((*modifiers)[i].as_object(), path));
      out.modifiers.push_back(std::move(modifier));
    }
  }
  return out;
}

Result<PriceFile> parse_price_file(std::string_view text) {
  TG_ASSIGN(const auto root, json::parse(text));
  if (!root.is_object()) return refuse("a price file is a JSON object with calendars and price_books", "");
  return read_price_file(root.as_object());
}

}  // namespace tidegate::price
