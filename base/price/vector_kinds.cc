#include "base/price/vector_kinds.h"

#include <fmt/format.h>

namespace tidegate::price {

namespace {

/// "One line at this rate": a version that charges `rate` for every meter.
PriceVersion flat_version(std::string_view currency, Rate rate) {
  PriceVersion version{1, "vector", "vector", std::string(currency)};
  Schedule schedule;
  schedule.name = "standard";
  schedule.is_default = true;
  for (const Meter meter : kMeters) schedule.rates.emplace(meter_name(meter), rate);
  version.schedules.push_back(std::move(schedule));
  return version;
}

const Instants kSomeTime = Instants::all_at(Wall(std::chrono::days(20'000)));

Result<Money> total_of(VectorSubject& subject, std::vector<PriceVersion> versions,
                       std::vector<Modifier> modifiers, const Instants& instants, const TokenCounts& tokens) {
  const std::string currency = versions.front().currency;
  TG_ASSIGN(const auto rated, subject.rate_with(std::move(versions), std::move(modifiers),
                                                {"vector", currency, "", ""}, instants, tokens));
  return rated.total;
}

/// Each product of the formula is a line of its own price, with its factors as modifiers.
Result<Money> sum_of_lines(const json::object& vector, const std::string& currency, VectorSubject& subject) {
  TG_ASSIGN(const auto terms, read_formula(vector));
  Money total;
  for (const auto& term : terms) {
    std::vector<Modifier> modifiers;
    for (const auto& factor : term.factors)
      modifiers.push_back({0, fmt::format("factor {}", modifiers.size()), factor});
    TG_ASSIGN(const auto amount, total_of(subject, {flat_version(currency, term.rate)}, std::move(modifiers),
                                          kSomeTime, {0, term.quantity, 0}));
    total += amount;
  }
  return total;
}

/// A request that failed before it used a token, under a minimum charge.
Result<Money> nothing_used(const json::object& vector, const std::string& currency, VectorSubject& subject) {
  TG_ASSIGN(const auto minimum, read_money(vector, "min_charge"));
  TG_ASSIGN(const auto tokens, read_count(vector, "rated"));
  PriceVersion version = flat_version(currency, Rate::from_micro_per_million(1'000'000));
  version.minimum_charge = minimum;
  return total_of(subject, {std::move(version)}, {}, kSomeTime, {0, tokens, 0});
}

/// Search, 5 CNY per 1,000 requests from 2026-11-01 00:00 in Beijing on, free before (DeepSeek's price page).
Result<Money> search_requests(const json::object& vector, const std::string& currency,
                              VectorSubject& subject) {
  const Wall begins = parse_rfc3339("2026-10-31T16:00:00Z").value();
  PriceVersion before = flat_version(currency, Rate());
  before.effective_to = begins;
  PriceVersion after = flat_version(currency, Rate::parse("5000").value());
  after.id = 2;
  after.effective_from = begins;
  TG_ASSIGN(const auto completed, read_instant(vector, "completed_at"));
  TG_ASSIGN(const auto requests, read_count(vector, "quantity"));
  return total_of(subject, {std::move(before), std::move(after)}, {}, Instants::all_at(completed),
                  {0, 0, requests});
}

}  // namespace

Verdict run_modifier(const json::object& vector, VectorSubject& subject) {
  TG_ASSIGN(const auto currency, json::get_string(vector, "currency"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  Result<Money> total = Money();
  if (vector.contains("model")) {
    // A request of the file's own books: cancelled half-way, for instance.
    TG_ASSIGN(const auto model, json::get_string(vector, "model"));
    TG_ASSIGN(const auto completed, read_instant(vector, "completed_at"));
    TG_ASSIGN(const auto tokens, read_tokens(vector));
    const auto rated =
        subject.rate({model, currency, "", ""}, Basis::kCompletedAt, Instants::all_at(completed), tokens);
    if (!rated) return "refused: " + rated.error().to_string();
    total = rated->total;
  } else if (vector.contains("min_charge")) {
    total = nothing_used(vector, currency, subject);
  } else if (vector.contains("completed_at")) {
    total = search_requests(vector, currency, subject);
  } else {
    total = sum_of_lines(vector, currency, subject);
  }
  if (!total) return "refused: " + total.error().to_string();
  return compare_total(*total, *expect);
}

Verdict run_prompt_tier(const json::object& vector, VectorSubject& subject) {
  TG_ASSIGN(const auto currency, json::get_string(vector, "currency"));
  TG_ASSIGN(const auto tokens, read_tokens(vector));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  // Seed-1.6: [0,128]k 0.25 / 2.00, (128,256]k 0.50 / 4.00, cached 0.05 in both (BytePlus price page).
  auto rates = [](std::string_view miss, std::string_view output) {
    return MeterRates{{"input_cache_hit", Rate::parse("0.05").value()},
                      {"input_cache_miss", Rate::parse(miss).value()},
                      {"output", Rate::parse(output).value()}};
  };
  PriceVersion version = flat_version(currency, Rate());
  version.schedules[0].rates = rates("0.25", "2.00");
  version.schedules[0].long_prompts = {{128'000, rates("0.50", "4.00")}};
  const auto total = total_of(subject, {std::move(version)}, {}, kSomeTime, tokens);
  if (!total) return "refused: " + total.error().to_string();
  return compare_total(*total, *expect);
}

}  // namespace tidegate::price
