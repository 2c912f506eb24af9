#pragma once

#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "base/price/modifier.h"
#include "base/price/price_version.h"

/// The JSON form of price lists: docs/api/price_file.md. rating-vectors.json is one, with vectors besides.
namespace tidegate::price {

struct PriceFile {
  std::vector<Calendar> calendars;     ///< version 0: billing numbers them when published
  std::vector<PriceVersion>
      versions;  ///< one per (book, model, currency), in file order; id 0. tenant: name or id
  std::vector<Modifier> modifiers;  ///< id 0; tenant: name or id
};

/// Reads shape and types; PriceBook::build() judges the content. Unknown members of a price book are errors, since a
/// misspelt "exclude_calendar" would charge holidays at the peak rate.
/// Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_price, bad_timestamp, bad_rate}.
Result<PriceFile> parse_price_file(std::string_view text);
Result<PriceFile> read_price_file(const json::object& root);

/// "09:00", "23:59:30", "24:00" to seconds after midnight. Fails: invalid_argument/bad_price.
Result<std::int32_t> parse_local_time(std::string_view text);
/// "09:00-12:00". Fails: invalid_argument/bad_price.
Result<LocalWindow> parse_local_window(std::string_view text);
/// "2026-10-01". Fails: invalid_argument/bad_price.
Result<std::chrono::local_days> parse_date(std::string_view text);

std::string format_local_time(std::int32_t seconds);

}  // namespace tidegate::price
