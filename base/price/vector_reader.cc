#include "base/price/vector_reader.h"

#include <fmt/format.h>

#include <charconv>

#include "base/price/rounding.h"

namespace tidegate::price {

namespace {

std::unexpected<Error> unreadable(std::string message, std::string_view key) {
  return fail(Code::kInvalidArgument, "wrong_type", std::move(message), std::string(key));
}

std::vector<std::string_view> split(std::string_view text, std::string_view by) {
  std::vector<std::string_view> out;
  for (auto at = text.find(by); at != text.npos; at = text.find(by)) {
    out.push_back(text.substr(0, at));
    text = text.substr(at + by.size());
  }
  out.push_back(text);
  return out;
}

Result<std::int64_t> parse_count(std::string_view text, std::string_view key) {
  std::int64_t out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return unreadable(fmt::format("\"{}\" is not a whole number", text), key);
  }
  return out;
}

}  // namespace

Result<std::int64_t> read_count(const json::object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->as_int64();
  TG_ASSIGN(const auto text, json::get_string(from, key));
  return parse_count(text, key);
}

Result<Money> read_money(const json::object& from, std::string_view key) {
  TG_ASSIGN(const auto text, json::get_string(from, key));
  return Money::parse(text);
}

Result<Wall> read_instant(const json::object& from, std::string_view key) {
  TG_ASSIGN(const auto text, json::get_string(from, key));
  return parse_rfc3339(text);
}

Result<TokenCounts> read_tokens(const json::object& from, std::string_view key) {
  TG_ASSIGN(const auto* tokens, json::get_object(from, key));
  TokenCounts counts;
  TG_ASSIGN(counts.hit, read_count(*tokens, "input_cache_hit"));
  TG_ASSIGN(counts.miss, read_count(*tokens, "input_cache_miss"));
  TG_ASSIGN(counts.output, read_count(*tokens, "output"));
  return counts;
}

Result<std::vector<FormulaTerm>> read_formula(const json::object& from) {
  TG_ASSIGN(const auto text, json::get_string(from, "formula"));
  std::vector<FormulaTerm> out;
  for (const auto term : split(text, " + ")) {
    const auto halves = split(term, "/");
    const auto factors = split(halves.front(), "*");
    const bool is_per_thousand = halves.back() == "1e3";
    if (halves.size() != 2 || factors.size() < 2 || (halves.back() != "1e6" && !is_per_thousand)) {
      return unreadable(fmt::format("\"{}\" is not tokens*price[*factor]/1e6", term), "formula");
    }
    FormulaTerm line;
    TG_ASSIGN(line.quantity, parse_count(factors[0], "formula"));
    TG_ASSIGN(const auto rate, Rate::parse(factors[1]));
    line.rate = Rate::from_micro_per_million(rate.micro_per_million() * (is_per_thousand ? 1000 : 1));
    for (std::size_t i = 2; i < factors.size(); ++i) {
      TG_ASSIGN(const auto factor, Ratio::parse(factors[i]));
      line.factors.push_back(factor);
    }
    out.push_back(std::move(line));
  }
  return out;
}

std::string differs(std::string_view what, std::string_view is, std::string_view expected) {
  return is == expected ? std::string() : fmt::format("{} is {}, expected {}", what, is, expected);
}

std::string join(const std::string& first, const std::string& second) {
  return first.empty() ? second : first;
}

Result<std::string> compare_total(Money total, const json::object& expect) {
  TG_ASSIGN(const auto pico, json::find_string(expect, "total_pico"));
  TG_ASSIGN(const auto nano, json::find_string(expect, "total_nano_half_even"));
  // Where half a pico was rounded, the decimal states the unrounded value and only the count of pico what is
  // charged.
  const auto* is_exact = expect.if_contains("pico_is_exact");
  std::string diff;
  if (is_exact == nullptr || !is_exact->is_bool() || is_exact->as_bool()) {
    TG_ASSIGN(const auto decimal, read_money(expect, "total"));
    diff = differs("total", total.to_string(), decimal.to_string());
  }
  if (pico) diff = join(diff, differs("total_pico", int128_to_string(total.pico()), *pico));
  if (nano) {
    diff = join(diff, differs("total_nano_half_even",
                              int128_to_string(round_half_even(total, 9).pico() / 1000), *nano));
  }
  return diff;
}

}  // namespace tidegate::price
