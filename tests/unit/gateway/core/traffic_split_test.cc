#include "gateway/core/traffic_split.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/core/random.h"

namespace tidegate::gateway {
namespace {

class TrafficSplitTest : public ::testing::Test {
 protected:
  TrafficSplitTest() { use({{"new", 10}, {"old", 90}}); }
  void use(std::vector<TrafficArm> arms) {
    split.set(std::move(arms));
    views.assign(split.arms().size(), {true, true});
    given.clear();
  }
  std::size_t arm(const std::string& name) const { return *split.find(name); }
  /// Empty: it waits.
  std::string next(const std::string& home = {}) {
    const auto pick = split.pick(views, home.empty() ? std::nullopt : split.find(home));
    if (!pick) return {};
    split.give(pick->arm);
    passed_on += pick->is_passed_on ? 1 : 0;
    const std::string& name = split.arms()[pick->arm].name;
    ++given[name];
    return name;
  }

  TrafficSplit split;
  std::vector<TrafficSplit::ArmView> views;
  std::map<std::string, int> given;
  int passed_on = 0;
};

TEST_F(TrafficSplitTest, EachTenRequestsAreSharedExactly) {
  for (int ten = 1; ten <= 50; ++ten) {
    for (int i = 0; i < 10; ++i) next();
    EXPECT_EQ(given["new"], ten);
  }
}

TEST_F(TrafficSplitTest, NoPrefixOfAnyMixIsOffByMoreThanOne) {
  use({{"a", 1}, {"b", 33}, {"c", 66}});
  for (int n = 1; n <= 2000; ++n) {
    next();
    EXPECT_LE(std::abs(given["a"] - n * 0.01), 1) << n;
    EXPECT_LE(std::abs(given["b"] - n * 0.33), 1) << n;
    EXPECT_LE(std::abs(given["c"] - n * 0.66), 1) << n;
  }
}

TEST_F(TrafficSplitTest, NothingIsLeftToChance) {
  TrafficSplit twin;
  twin.set(split.arms());
  for (int i = 0; i < 100; ++i) {
    const auto pick = twin.pick(views, std::nullopt);
    twin.give(pick->arm);
    EXPECT_EQ(next(), twin.arms()[pick->arm].name);
  }
}

TEST_F(TrafficSplitTest, AnArmWithoutAShareGetsNothingWhateverHappens) {
  use({{"dark", 0}, {"old", 100}});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(next("dark"), "old");
  views[arm("old")] = {false, false};
  EXPECT_EQ(next(), "");
  EXPECT_EQ(next("dark"), "");
}

TEST_F(TrafficSplitTest, WithoutAnyWeightThereIsNothingToDivide) {
  EXPECT_TRUE(split.is_divided());
  use({{"new", 0}, {"old", 0}});
  EXPECT_FALSE(split.is_divided());
  EXPECT_EQ(next(), "");
}

TEST_F(TrafficSplitTest, ConversationsStayButTheShareHolds) {
  for (int n = 1; n <= 3000; ++n) {
    next("new");
    EXPECT_LE(std::abs(given["new"] - n * 0.1), static_cast<double>(TrafficSplit::kSlack) + 1) << n;
  }
  use({{"new", 50}, {"old", 50}});
  // Few long conversations, each known to one arm.
  Rng rng(7);
  int stayed = 0;
  for (int n = 1; n <= 3000; ++n) {
    const std::string home = rng.below(2) == 0 ? "new" : "old";
    stayed += next(home) == home ? 1 : 0;
    EXPECT_LE(std::abs(given["new"] - n * 0.5), static_cast<double>(TrafficSplit::kSlack) + 1) << n;
  }
  EXPECT_GT(stayed, 2400) << "most stay where they were";
}

TEST_F(TrafficSplitTest, AFullSmallArmPassesOnAtOnce) {
  views[arm("new")].can_take = false;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(next(), "old");
  EXPECT_GE(passed_on, 10);
  views[arm("new")].can_take = true;
  int rush = 0;
  while (next() == "new") ++rush;
  EXPECT_LE(rush, TrafficSplit::kSlack + 1) << "what it missed is not made up for in one rush";
}

TEST_F(TrafficSplitTest, AFullBaseMakesItsRequestsWaitAndASmallShareStaysSmall) {
  views[arm("old")].can_take = false;
  int got = 0;
  for (int i = 0; i < 100; ++i) got += next() == "new" ? 1 : 0;
  EXPECT_LE(got, 1);
  views[arm("old")].can_take = true;
  EXPECT_NE(next(), "");
}

TEST_F(TrafficSplitTest, WithoutAnybodyAtTheBaseTheOthersStandIn) {
  views[arm("old")] = {false, false};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(next(), "new");
  views[arm("old")] = {true, true};
  int without = 0;
  while (next() != "new") ++without;
  EXPECT_LE(without, (TrafficSplit::kSlack + 1) * 10) << "it does not pay for standing in for ever";
}

TEST_F(TrafficSplitTest, WithoutAnybodyAtTheBaseASmallShareAmongTheOthersStaysSmall) {
  use({{"b.10", 10}, {"b.9", 90}, {"c.1", 300}});
  views[arm("c.1")] = {false, false};
  for (int i = 0; i < 1000; ++i) next();
  EXPECT_EQ(given["b.9"] + given["b.10"], 1000);
  EXPECT_GT(given["b.10"], 50);
  EXPECT_LT(given["b.10"], 150) << "a tenth of what the two share, though its name comes first";
}

TEST_F(TrafficSplitTest, SharesAreExactOverEditsThatDoNotChangeThem) {
  const std::vector<std::vector<TrafficArm>> spellings = {
      {{"old", 9}, {"new", 1}},
      {{"new", 10'000}, {"old", 90'000}},
      {{"dark", 0}, {"new", 10}, {"old", 90}},
      {{"new", 10}, {"old", 90}, {"zero", 0}},
  };
  std::size_t edits = 0;
  for (int n = 1; n <= 1'000; ++n) {
    // More often than the small arm's turn comes: a count that began anew each time would never reach it.
    if (n % 3 == 0) {
      split.set(spellings[edits++ % spellings.size()]);
      views.assign(split.arms().size(), {true, true});
    }
    next();
    EXPECT_LE(std::abs(given["new"] - n * 0.1), 1) << n;
  }
  EXPECT_EQ(given["new"], 100);
  EXPECT_EQ(given["dark"] + given["zero"], 0);
}

TEST_F(TrafficSplitTest, AnArmThatTakesAnothersPlaceInheritsNothing) {
  for (int i = 0; i < 5; ++i) next();
  EXPECT_GT(split.behind(arm("new")), 0);
  split.set({{"newer", 10}, {"old", 90}});
  EXPECT_EQ(split.behind(arm("newer")), 0);
}

TEST_F(TrafficSplitTest, OtherWeightsBeginANewCountTheSameOnesDoNot) {
  for (int i = 0; i < 5; ++i) next();
  const double before = split.behind(arm("new"));
  split.set({{"old", 90}, {"new", 10}});
  EXPECT_EQ(split.behind(arm("new")), before);
  split.set({{"old", 80}, {"new", 20}});
  EXPECT_EQ(split.behind(arm("new")), 0);
}

}  // namespace
}  // namespace tidegate::gateway
