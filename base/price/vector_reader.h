#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "base/price/price_book.h"

/// Pieces of rating vectors, for the programs that run them.
namespace tidegate::price {

/// The first thing that differs, or "" when the vector passes. An Error means the vector itself is
/// unreadable.
using Verdict = Result<std::string>;

/// Counts in vectors are decimal strings, so that 2^53 + 1 survives any JSON reader. 0 when absent.
Result<std::int64_t> read_count(const json::object& from, std::string_view key);
Result<Money> read_money(const json::object& from, std::string_view key);
Result<Wall> read_instant(const json::object& from, std::string_view key);
/// Member "tokens" or another of its shape.
Result<TokenCounts> read_tokens(const json::object& from, std::string_view key = "tokens");

/// One product of a vector's formula, "8000*2.5*1.25/1e6": tokens, rate, factors.
struct FormulaTerm {
  std::int64_t quantity = 0;
  Rate rate;
  std::vector<Ratio> factors;
};
/// Sums of products of decimals over 1e6 or 1e3. The vectors' only place for prices of several lines.
Result<std::vector<FormulaTerm>> read_formula(const json::object& from);

std::string differs(std::string_view what, std::string_view is, std::string_view expected);
/// The first of two complaints.
std::string join(const std::string& first, const std::string& second);
/// total, total_pico and total_nano_half_even of "expect", where they stand.
Result<std::string> compare_total(Money total, const json::object& expect);

}  // namespace tidegate::price
