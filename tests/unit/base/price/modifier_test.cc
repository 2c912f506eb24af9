#include "base/price/modifier.h"

#include <gtest/gtest.h>

#include "base/price/price_book.h"
#include "tests/unit/base/price/price_lists.h"

namespace tidegate::price::modifier_test {
namespace {

constexpr PriceKey kKey = {"m", "USD", "local", "cpu"};
const Wall kNoon = at("2026-11-20T12:00:00Z");

Modifier modifier(std::string name, std::string_view factor) {
  Modifier out{0, std::move(name), Ratio::parse(factor).value()};
  out.effective_from = at("2026-01-01T00:00:00Z");
  return out;
}

PriceBook book_with(std::vector<Modifier> modifiers, PriceVersion version = tide()) {
  auto book = PriceBook::build({std::move(version)}, {}, std::move(modifiers));
  EXPECT_TRUE(book) << book.error().to_string();
  return book.value_or(PriceBook());
}

std::string refusal(std::vector<Modifier> modifiers) {
  const auto book = PriceBook::build({tide()}, {}, std::move(modifiers));
  return book ? "" : book.error().field + ": " + book.error().message;
}

TEST(Ratio, IsReadExactlyAndReduced) {
  EXPECT_EQ(Ratio::parse("9/10").value(), (Ratio{9, 10}));
  EXPECT_EQ(Ratio::parse("0.9").value(), (Ratio{9, 10}));
  EXPECT_EQ(Ratio::parse("50/100").value(), (Ratio{1, 2}));
  EXPECT_EQ(Ratio::parse("1.25").value(), (Ratio{5, 4}));
  EXPECT_EQ(Ratio::parse("0").value(), (Ratio{0, 1}));
  for (const auto* bad : {"", "1/0", "-1/2", "0.00001", "11", "a/b", "1/2/3", "20000/20001", " 1/2"}) {
    const auto ratio = Ratio::parse(bad);
    ASSERT_FALSE(ratio) << bad;
    EXPECT_EQ(ratio.error().reason, "bad_ratio") << bad;
  }
}

TEST(Ratio, ProductsDoNotDependOnTheirOrder) {
  const Ratio a{9, 10}, b{2, 3}, c{5, 7};
  EXPECT_EQ(a * b * c, c * b * a);
  EXPECT_EQ(a * b * c, (Ratio{3, 7}));
  const Ratio wide{9999, 10000};
  EXPECT_EQ((wide * wide * wide * wide).num, 9996000599960001);
}

TEST(Modifier, RoundsHalfToEvenOnceALine) {
  const Rate rate = Rate::from_micro_per_million(1);
  const Ratio half{1, 2};
  const std::pair<std::int64_t, std::int64_t> cases[] = {{0, 0}, {1, 0}, {2, 1}, {3, 2},
                                                         {5, 2}, {7, 4}, {9, 4}, {11, 6}};
  for (const auto& [tokens, pico] : cases)
    EXPECT_EQ(modified_amount(rate, tokens, half).pico(), pico) << tokens;
  EXPECT_EQ(modified_amount(rate, 1, {2, 3}).pico(), 1);
  EXPECT_EQ(modified_amount(rate, 1, {1, 3}).pico(), 0);
  // The tie's evenness is that of the whole amount: 15 x 3 / 2 = 22.5 -> 22, 5 x 3 / 2 = 7.5 -> 8.
  EXPECT_EQ(modified_amount(rate, 15, {3, 2}).pico(), 22);
  EXPECT_EQ(modified_amount(rate, 5, {3, 2}).pico(), 8);
}

TEST(Modifier, TheLargestAmountsDoNotOverflow) {
  const Money most = modified_amount(Rate::from_micro_per_million(1'000'000'000'000), INT64_MAX, {10'000, 1});
  EXPECT_EQ(most, Money::from_pico(Int128{INT64_MAX} * 1'000'000'000'000 * 10'000));
}

TEST(Modifier, AppliesToEveryLineInItsRangeOnly) {
  Modifier promo = modifier("promo", "1/2");
  promo.effective_from = kNoon;
  promo.effective_to = kNoon + std::chrono::hours(1);
  const PriceBook book = book_with({promo});
  auto total = [&](Wall instant) {
    return book.rate(kKey, Instants::all_at(instant), {10, 10, 10})->total.pico();
  };
  EXPECT_EQ(total(kNoon - std::chrono::microseconds(1)), 7000);
  EXPECT_EQ(total(kNoon), 3500);
  EXPECT_EQ(total(kNoon + std::chrono::hours(1)), 7000);
  const auto rated = book.rate(kKey, Instants::all_at(kNoon), {10, 10, 10});
  EXPECT_EQ(rated->lines[0].factor, (Ratio{1, 2}));
  EXPECT_EQ(rated->lines[0].rate.micro_per_million(), 100) << "the list rate stays visible";
}

TEST(Modifier, IsForItsTenantAndModelOnly) {
  Modifier ours = modifier("ours", "1/2");
  ours.tenant = "t1";
  Modifier other = modifier("other", "1/3");
  other.model = "another";
  const PriceBook book = book_with({ours, other});
  PriceKey key = kKey;
  EXPECT_EQ(book.rate(key, Instants::all_at(kNoon), {0, 0, 10})->total.pico(), 4000);
  key.tenant = "t1";
  EXPECT_EQ(book.rate(key, Instants::all_at(kNoon), {0, 0, 10})->total.pico(), 2000);
  const PriceVersion& version = book.versions().front();
  EXPECT_EQ(book.rate(version, Instants::all_at(kNoon), {0, 0, 10}, "t1")->total.pico(), 2000);
  EXPECT_EQ(book.rate(version, Instants::all_at(kNoon), {0, 0, 10})->total.pico(), 4000);
}

TEST(Modifier, TheHoldKnowsOfASurchargeThatBeginsMeanwhile) {
  Modifier surcharge = modifier("surcharge", "3/2");
  surcharge.effective_from = kNoon + std::chrono::minutes(5);
  const PriceBook book = book_with({surcharge});
  EXPECT_EQ(book.worst_case(kKey, kNoon, kNoon + std::chrono::minutes(4), 10, 10)->pico(), 6000);
  EXPECT_EQ(book.worst_case(kKey, kNoon, kNoon + std::chrono::minutes(5), 10, 10)->pico(), 9000 + 1);
}

TEST(Modifier, BadOnesAreRefusedByName) {
  EXPECT_EQ(refusal({modifier("", "1/2")}), "modifiers.name: modifier \"\": has no name");
  Modifier backwards = modifier("b", "1/2");
  backwards.effective_to = backwards.effective_from;
  EXPECT_TRUE(refusal({backwards}).starts_with("modifiers.effective_to"));
  Modifier broken = modifier("z", "1/2");
  broken.factor = {1, 0};
  EXPECT_TRUE(refusal({broken}).starts_with("modifiers.factor"));
  broken.factor = {-1, 2};
  EXPECT_TRUE(refusal({broken}).starts_with("modifiers.factor"));
  const Modifier same = modifier("s", "9/10");
  EXPECT_EQ(refusal({same, same, same, same}), "");
  EXPECT_TRUE(refusal({same, same, same, same, same}).starts_with("modifiers.effective_from"));
}

TEST(MinimumCharge, IsOfRequestsThatUsedAnything) {
  PriceVersion version = tide();
  version.minimum_charge = Money::from_pico(5000);
  const PriceBook book = book_with({modifier("half", "1/2")}, version);
  auto rate = [&](std::int64_t output) {
    return book.rate(kKey, Instants::all_at(kNoon), {0, 0, output}).value();
  };
  EXPECT_EQ(rate(0).total.pico(), 0);
  EXPECT_EQ(rate(0).minimum_top_up.pico(), 0);
  EXPECT_EQ(rate(1).total.pico(), 5000);
  EXPECT_EQ(rate(1).minimum_top_up.pico(), 4800) << "after the modifier";
  EXPECT_EQ(rate(25).total.pico(), 5000);
  EXPECT_EQ(rate(25).minimum_top_up.pico(), 0);
  EXPECT_EQ(rate(26).total.pico(), 5200);
  EXPECT_EQ(book.worst_case(kKey, kNoon, kNoon, 0, 1)->pico(), 5000);
  version.minimum_charge = Money::from_pico(-1);
  EXPECT_EQ(PriceBook::build({version}, {}).error().field, "minimum_charge");
  version.minimum_charge = Money::parse("1001").value();
  EXPECT_EQ(PriceBook::build({version}, {}).error().field, "minimum_charge");
}

TEST(PromptTiers, RepriceTheWholeRequestByHitsAndMisses) {
  PriceVersion version = tide();
  version.schedules[0].long_prompts = {{100, flat("", 1000, 2000, 4000).rates},
                                       {200, flat("", 10, 20, 40).rates}};
  const PriceBook book = book_with({}, version);
  auto rate = [&](TokenCounts tokens) { return book.rate(kKey, Instants::all_at(kNoon), tokens).value(); };
  EXPECT_EQ(rate({50, 50, 1}).total.pico(), 50 * 100 + 50 * 200 + 400);
  EXPECT_EQ(rate({50, 51, 1}).total.pico(), 50 * 1000 + 51 * 2000 + 4000);
  EXPECT_EQ(rate({50, 51, 1}).prompt_over, 100);
  EXPECT_EQ(rate({0, 201, 1}).total.pico(), 201 * 20 + 40);
  // The dearest request of at most 300 prompt tokens has 200 of them.
  EXPECT_EQ(book.worst_case(kKey, kNoon, kNoon, 300, 1)->pico(), 200 * 2000 + 4000);
  EXPECT_EQ(book.worst_case(kKey, kNoon, kNoon, 100, 1)->pico(), 100 * 200 + 400);
}

TEST(PromptTiers, OutOfOrderOrUnpricedOnesAreRefused) {
  PriceVersion version = tide();
  const MeterRates rates = version.schedules[0].rates;
  auto refused = [&](std::vector<PromptTier> tiers) {
    version.schedules[0].long_prompts = std::move(tiers);
    return PriceBook::build({version}, {}).error().field;
  };
  EXPECT_EQ(refused({{0, rates}}), "schedules[offpeak].prompt_tiers");
  EXPECT_EQ(refused({{100, rates}, {100, rates}}), "schedules[offpeak].prompt_tiers");
  EXPECT_EQ(refused({{200, rates}, {100, rates}}), "schedules[offpeak].prompt_tiers");
  EXPECT_EQ(refused({{100, {}}}), "schedules[offpeak].prompt_tiers[over 100].rates");
}

TEST(Contract, WinsOverTheListForItsTenantOnly) {
  PriceVersion list = tide(1), contract = tide(2), other_model = tide(3);
  contract.tenant = "t1";
  contract.schedules = {flat("contract", 1, 1, 1)};
  list.region = "local";
  list.pool = "cpu";
  other_model.model = "n";
  const PriceBook book = PriceBook::build({list, contract, other_model}, {}).value();
  PriceKey key = kKey;
  EXPECT_EQ(book.version_at(key, kNoon)->id, 1);
  key.tenant = "t2";
  EXPECT_EQ(book.version_at(key, kNoon)->id, 1);
  key.tenant = "t1";
  EXPECT_EQ(book.version_at(key, kNoon)->id, 2) << "also over the most specific list price";
  key.model = "n";
  EXPECT_EQ(book.version_at(key, kNoon)->id, 3) << "the list prices what the contract does not";
}

TEST(Contract, TheHoldKnowsThatItEndsIntoTheList) {
  PriceVersion contract = tide(2);
  contract.tenant = "t1";
  contract.schedules = {flat("contract", 1, 1, 1)};
  contract.effective_to = kNoon;
  const PriceBook book = PriceBook::build({tide(1), contract}, {}).value();
  PriceKey key = kKey;
  key.tenant = "t1";
  EXPECT_EQ(
      book.worst_case(key, kNoon - std::chrono::minutes(2), kNoon - std::chrono::minutes(1), 0, 10)->pico(),
      10);
  EXPECT_EQ(book.worst_case(key, kNoon - std::chrono::minutes(2), kNoon, 0, 10)->pico(), 4000);
}

}  // namespace
}  // namespace tidegate::price::modifier_test
