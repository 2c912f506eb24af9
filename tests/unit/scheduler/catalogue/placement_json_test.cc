#include "scheduler/catalogue/placement_json.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

TEST(PlacementJson, WhatIsWrittenIsRead) {
  for (const PlacementPolicy& policy :
       {PlacementPolicy(), PlacementPolicy{.is_on = true, .regions = {}, .pools = {}},
        PlacementPolicy{.is_on = true, .regions = {"eu-1", "eu-2"}, .pools = {"cpu"}, .lost_after_s = 30}}) {
    const auto read = parse_placement(write_placement(policy));
    ASSERT_TRUE(read) << read.error().to_string();
    EXPECT_EQ(*read, policy);
  }
  EXPECT_EQ(write_placement({}), "{}");
}

TEST(PlacementJson, WhatIsMissingOrWrongIsAnErrorThatNamesIt) {
  const auto field_of = [](const char* text) { return parse_placement(text).error().field; };
  EXPECT_EQ(field_of(R"({"pools":[],"lost_after_s":60})"), "placement.regions");
  EXPECT_EQ(field_of(R"({"regions":[7],"pools":[],"lost_after_s":60})"), "placement.regions");
  EXPECT_EQ(field_of(R"({"regions":[],"pools":"cpu","lost_after_s":60})"), "placement.pools");
  EXPECT_EQ(field_of(R"({"regions":[],"pools":[],"lost_after_s":1})"), "placement.lost_after_s");
  EXPECT_EQ(field_of("[]"), "placement");
  EXPECT_FALSE(parse_placement("{"));
}

}  // namespace
}  // namespace tidegate::scheduler
