#include "scheduler/catalogue/rollout_json.h"

#include <gtest/gtest.h>

#include "tests/support/sim_clock.h"

namespace tidegate::scheduler {
namespace {

RevisionSpec spec() {
  return {.model = "m",
          .variant = "v",
          .region = "r",
          .pool = "p",
          .threads = 3,
          .sequences_max = 5,
          .options = {"kv.mib=7", "sim.step_ms=1"}};
}

TEST(RolloutJson, WhatIsWrittenIsRead) {
  const test::SimClock clock;
  for (const RolloutPhase phase :
       {RolloutPhase::kRolling, RolloutPhase::kWaiting, RolloutPhase::kBack, RolloutPhase::kFailed}) {
    const Rollout rollout{.phase = phase,
                          .revision = 4,
                          .spec = spec(),
                          .steps = {10, 100},
                          .hold_s = 30,
                          .done = 1,
                          .since = clock.wall(),
                          .why = "it \"failed\"\n",
                          .serves_more = phase == RolloutPhase::kFailed};
    const auto read = parse_rollout(write_rollout(rollout));
    ASSERT_TRUE(read) << read.error().to_string();
    EXPECT_EQ(*read, rollout);
  }
}

TEST(RolloutJson, OneThatWasStoredBeforeARolloutCouldFailIsRead) {
  const Rollout rollout{.phase = RolloutPhase::kBack, .revision = 4, .spec = spec(), .why = "w"};
  std::string text = write_rollout(rollout);
  const std::string member = ",\"serves_more\":false";
  ASSERT_NE(text.find(member), std::string::npos) << text;
  text.erase(text.find(member), member.size());
  const auto read = parse_rollout(text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, rollout);
}

TEST(RolloutJson, NoneIsAnEmptyObject) {
  EXPECT_EQ(write_rollout({}), "{}");
  EXPECT_EQ(*parse_rollout("{}"), Rollout());
  EXPECT_EQ(write_revision(std::nullopt), "{}");
  EXPECT_FALSE(*parse_revision("{}"));
}

TEST(RolloutJson, ARevisionIsReadAsWritten) {
  const auto read = parse_revision(write_revision(spec()));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(**read, spec());
}

TEST(RolloutJson, WhatIsMissingOrImpossibleIsAnErrorNotADefault) {
  const Rollout rollout{.phase = RolloutPhase::kRolling, .revision = 4, .spec = spec(), .steps = {10}, .done = 1};
  const std::string good = write_rollout(rollout);
  const auto with = [&](std::string_view before, std::string_view after) {
    std::string text = good;
    text.replace(text.find(before), before.size(), after);
    return parse_rollout(text);
  };
  EXPECT_EQ(with("\"done\":1", "\"done\":2").error().field, "rollout.done");
  EXPECT_EQ(with("\"done\":1", "\"over\":1").error().reason, "missing_field");
  EXPECT_EQ(with("rolling", "sliding").error().reason, "bad_rollout");
  EXPECT_EQ(with("[10]", "[0]").error().field, "rollout.steps");
  EXPECT_FALSE(parse_rollout("[]"));
  EXPECT_FALSE(parse_rollout("{"));
}

}  // namespace
}  // namespace tidegate::scheduler
