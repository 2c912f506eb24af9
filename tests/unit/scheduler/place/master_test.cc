#include "scheduler/core/place/master.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "base/core/random.h"

namespace tidegate::scheduler::placement {
namespace {

constexpr std::int64_t kExchanges = 1000;

bool never_in_time() { return false; }

struct MasterCase {
  std::vector<double> there;
  std::vector<double> refusals;
  std::vector<Master::Choice> choices;
};

MasterCase random_master_case(Rng& rng) {
  MasterCase out;
  const std::size_t prices = 1 + rng.below(4);
  const std::size_t needs = 1 + rng.below(5);
  for (std::size_t i = 0; i < prices; ++i) out.there.push_back(static_cast<double>(rng.below(30)));
  for (std::size_t d = 0; d < needs; ++d) {
    out.refusals.push_back(100 + static_cast<double>(rng.below(900)));
    const std::size_t choices = rng.below(6);
    for (std::size_t j = 0; j < choices; ++j) {
      Master::Choice choice;
      choice.need = static_cast<std::int32_t>(d);
      choice.cost = static_cast<double>(rng.below(800));
      for (std::size_t i = 0; i < prices; ++i) {
        if (rng.below(2) == 0) choice.uses.push_back({static_cast<std::int32_t>(i), 1 + static_cast<double>(rng.below(16))});
      }
      choice.counts = {{static_cast<std::int32_t>(j), 1.0}};
      out.choices.push_back(std::move(choice));
    }
  }
  return out;
}

/// What the prices alone say: each need takes its cheapest choice, and what is there is paid for.
double dual_value(const MasterCase& one, const std::vector<double>& prices) {
  std::vector<double> least = one.refusals;
  for (const Master::Choice& choice : one.choices) {
    double cost = choice.cost;
    for (const Master::Use& use : choice.uses) cost += use.amount * prices[static_cast<std::size_t>(use.price)];
    double& of_need = least[static_cast<std::size_t>(choice.need)];
    of_need = std::min(of_need, cost);
  }
  double value = 0;
  for (const double each : least) value += each;
  for (std::size_t i = 0; i < prices.size(); ++i) value -= prices[i] * one.there[i];
  return value;
}

TEST(Master, SharesFitAndPricesProveThatNothingIsCheaper) {
  Rng rng(21);
  for (int i = 0; i < 500; ++i) {
    const MasterCase one = random_master_case(rng);
    Master master(one.there, one.refusals);
    // Half of them later, as they come when they are generated.
    const std::size_t half = one.choices.size() / 2;
    for (std::size_t j = 0; j < half; ++j) master.add(one.choices[j]);
    master.solve(kExchanges, never_in_time);
    for (std::size_t j = half; j < one.choices.size(); ++j) master.add(one.choices[j]);
    const double cost = master.solve(kExchanges, never_in_time);
    const std::vector<double> prices = master.prices();
    const std::vector<double> shares = master.shares();
    EXPECT_NEAR(cost, dual_value(one, prices), 0.1 + 1e-3 * std::abs(cost)) << i;
    std::vector<double> used(one.there.size(), 0.0);
    std::vector<double> of_need(one.refusals.size(), 0.0);
    double paid = 0;
    for (std::size_t j = 0; j < shares.size(); ++j) {
      const Master::Choice& choice = master.choices()[j];
      of_need[static_cast<std::size_t>(choice.need)] += shares[j];
      paid += shares[j] * choice.cost;
      for (const Master::Use& use : choice.uses) used[static_cast<std::size_t>(use.price)] += shares[j] * use.amount;
    }
    EXPECT_NEAR(paid, cost, 1e-6 * (1 + cost)) << i;
    for (const double each : of_need) EXPECT_NEAR(each, 1, 1e-6) << i;
    for (std::size_t p = 0; p < used.size(); ++p) EXPECT_LE(used[p], one.there[p] + 0.01 * (1 + one.there[p])) << i;
  }
}

TEST(Master, WhatIsKnownIsNotAddedAgain) {
  Master master({8}, {100});
  const Master::Choice choice{0, 10, {{0, 8}}, {{3, 1.0}}};
  EXPECT_TRUE(master.add(choice));
  EXPECT_FALSE(master.add(choice));
  EXPECT_NEAR(master.solve(kExchanges, never_in_time), 10, 1e-6);
}

TEST(Master, TheContestedCostsWhatTheLoserLoses) {
  Master master({8}, {100, 60});
  master.add({0, 10, {{0, 8}}, {{0, 1.0}}});
  master.add({1, 10, {{0, 8}}, {{0, 1.0}}});
  // The first gains 90 by it, the second 50: it is the first one's, and 8 GPUs are worth 50.
  EXPECT_NEAR(master.solve(kExchanges, never_in_time), 70, 0.01);
  EXPECT_NEAR(master.prices()[0], 50.0 / 8, 0.01);
  EXPECT_NEAR(master.shares()[2], 1, 0.01);
}

TEST(Master, WithoutScarcityNothingHasAPrice) {
  Master master({100}, {50, 50});
  master.add({0, 10, {{0, 8}}, {{0, 1.0}}});
  master.add({1, 20, {{0, 8}}, {{0, 1.0}}});
  EXPECT_NEAR(master.solve(kExchanges, never_in_time), 30, 1e-6);
  EXPECT_NEAR(master.prices()[0], 0, 1e-9);
}

}  // namespace
}  // namespace tidegate::scheduler::placement
