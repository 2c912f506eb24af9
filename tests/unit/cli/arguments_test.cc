#include "cli/arguments.h"

#include <gtest/gtest.h>

namespace tidegate::cli {
namespace {

TEST(Arguments, WordsOptionsAndSwitchesAreToldApart) {
  const auto parsed = Arguments::parse({"acme", "--tz", "Asia/Shanghai", "--note=a b", "--sum", "25.00"}, {"tz", "note"}, {"sum"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->words(), (std::vector<std::string>{"acme", "25.00"}));
  EXPECT_EQ(parsed->option("tz"), "Asia/Shanghai");
  EXPECT_EQ(parsed->option("note"), "a b");
  EXPECT_TRUE(parsed->has("sum"));
  EXPECT_FALSE(parsed->wants_json());
}

TEST(Arguments, AMisspeltOptionIsRefusedWithTheKnownOnes) {
  const auto parsed = Arguments::parse({"--tenat", "acme"}, {"tenant"}, {});
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().reason, "bad_usage");
  EXPECT_NE(parsed.error().message.find("--tenant"), std::string::npos);
}

TEST(Arguments, EverythingAfterTwoDashesIsAWord) {
  const auto parsed = Arguments::parse({"--", "--json"}, {}, {});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->words(), std::vector<std::string>{"--json"});
  EXPECT_FALSE(parsed->wants_json());
}

TEST(Arguments, EveryCommandTakesAnEndpointAndATokenFile) {
  const auto parsed = Arguments::parse({"--endpoint", "e.json", "--token-file=t"}, {}, {});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->option("endpoint"), "e.json");
  EXPECT_EQ(parsed->option("token-file"), "t");
}

TEST(Arguments, ANumberOptionRefusesOtherText) {
  const auto parsed = Arguments::parse({"--limit", "ten"}, {"limit"}, {});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_FALSE(parsed->integer_option("limit", 5).has_value());
  EXPECT_EQ(Arguments::parse({}, {}, {})->integer_option("limit", 5), 5);
}

TEST(Arguments, ANumberBeyondItsBoundsIsRefusedByName) {
  const auto parsed = Arguments::parse({"--context", "8", "--sequences", "9"}, {"context", "sequences"}, {});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->integer_within("context", 1, 1, 8), 8);
  EXPECT_EQ(parsed->integer_within("percent", 90, 1, 100), 90);
  const auto refused = parsed->integer_within("sequences", 1, 1, 8);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().field, "sequences");
  EXPECT_EQ(refused.error().message, "--sequences must be 1 to 8, not 9");
  EXPECT_FALSE(parsed->integer_within("context", 1, 9, 16).has_value());
}

TEST(Arguments, AnInstantIsMicrosecondsAndWithoutTheOptionZero) {
  const auto parsed = Arguments::parse({"--from", "2026-11-01T08:00:00+08:00", "--to", "soon"}, {"from", "to"}, {});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->instant_option("from"), 1'793'491'200'000'000);
  EXPECT_FALSE(parsed->instant_option("to").has_value());
  EXPECT_EQ(Arguments::parse({}, {}, {})->instant_option("from"), 0);
}

TEST(Arguments, AMissingValueAndAMissingWordAreNamed) {
  EXPECT_EQ(Arguments::parse({"--tz"}, {"tz"}, {}).error().field, "tz");
  EXPECT_EQ(Arguments::parse({}, {}, {})->word(0, "NAME").error().field, "NAME");
}

}  // namespace
}  // namespace tidegate::cli
