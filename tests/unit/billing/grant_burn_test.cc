#include "billing/core/grant_burn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tidegate::billing::grant_burn_test {
namespace {

const Wall kNow = parse_rfc3339("2026-11-21T00:00:00Z").value();
Money units(std::int64_t count) {
  return Money::from_pico(Int128{1'000'000'000'000} * count);
}

GrantState grant(std::string id, std::int64_t left, std::int64_t priority = 1, int days = 10) {
  return {
      std::move(id), units(left), priority, kNow - std::chrono::days(1), kNow + std::chrono::days(days), {},
      false};
}

std::string taken(const BurnDown& burn) {
  std::string out;
  for (const auto& use : burn.uses) out += use.id + ":" + use.amount.to_string() + " ";
  return out + "paid:" + burn.paid.to_string();
}

TEST(GrantBurn, ByPriorityThenExpiryThenIdAndPaidBalanceLast) {
  const std::vector<GrantState> grants = {grant("d", 1, 2, 1), grant("b", 1, 1, 5), grant("c", 1, 1, 5),
                                          grant("a", 1, 1, 9)};
  EXPECT_EQ(taken(burn_down(grants, units(5), kNow, "m")), "b:1 c:1 a:1 d:1 paid:1");
  EXPECT_EQ(taken(burn_down(grants, units(2), kNow, "m")), "b:1 c:1 paid:0");
}

TEST(GrantBurn, AnExpiryIsExclusiveAndABeginningInclusive) {
  GrantState one = grant("a", 5);
  EXPECT_EQ(taken(burn_down({one}, units(1), one.expires_at - std::chrono::microseconds(1), "m")),
            "a:1 paid:0");
  EXPECT_EQ(taken(burn_down({one}, units(1), one.expires_at, "m")), "paid:1");
  EXPECT_EQ(taken(burn_down({one}, units(1), one.effective_at, "m")), "a:1 paid:0");
  EXPECT_EQ(taken(burn_down({one}, units(1), one.effective_at - std::chrono::microseconds(1), "m")),
            "paid:1");
}

TEST(GrantBurn, ARestrictedGrantPaysForItsModelsOnly) {
  GrantState only = grant("a", 5);
  only.models = {"x", "y"};
  EXPECT_EQ(taken(burn_down({only}, units(1), kNow, "y")), "a:1 paid:0");
  EXPECT_EQ(taken(burn_down({only}, units(1), kNow, "m")), "paid:1");
}

TEST(GrantBurn, VoidedAndEmptyGrantsPayNothing) {
  GrantState voided = grant("a", 5);
  voided.is_voided = true;
  EXPECT_EQ(taken(burn_down({voided, grant("b", 0)}, units(1), kNow, "m")), "paid:1");
  EXPECT_EQ(taken(burn_down({}, Money(), kNow, "m")), "paid:0");
}

TEST(GrantBurn, EveryPicoIsTakenOnceWhateverTheGrants) {
  std::mt19937_64 random(3);
  auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int round = 0; round < 5000; ++round) {
    std::vector<GrantState> grants;
    for (int i = pick(0, 8); i > 0; --i) {
      grants.push_back(grant(std::to_string(i), 0, pick(0, 2), pick(-1, 3)));
      grants.back().left = Money::from_pico(pick(0, 1000));
      if (pick(0, 3) == 0) grants.back().models = {"other"};
    }
    const Money charge = Money::from_pico(pick(0, 3000));
    const BurnDown burn = burn_down(grants, charge, kNow, "m");
    Money sum = burn.paid;
    for (const auto& use : burn.uses) {
      sum += use.amount;
      const auto from =
          std::find_if(grants.begin(), grants.end(), [&](const auto& g) { return g.id == use.id; });
      ASSERT_LE(use.amount, from->left);
      ASSERT_LT(Money(), use.amount);
      ASSERT_LT(kNow, from->expires_at);
    }
    ASSERT_EQ(sum, charge);
    std::shuffle(grants.begin(), grants.end(), random);
    ASSERT_EQ(burn_down(grants, charge, kNow, "m").uses, burn.uses) << "the order given does not matter";
  }
}

}  // namespace
}  // namespace tidegate::billing::grant_burn_test
