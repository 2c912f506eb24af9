#include "cli/duration_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidegate::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(DurationText, SpansHaveAUnit) {
  EXPECT_EQ(parse_span("0", "overlap").value(), std::chrono::microseconds(0));
  EXPECT_EQ(parse_span("90s", "overlap").value(), std::chrono::seconds(90));
  EXPECT_EQ(parse_span("30m", "overlap").value(), std::chrono::minutes(30));
  EXPECT_EQ(parse_span("24h", "overlap").value(), std::chrono::hours(24));
  EXPECT_EQ(parse_span("7d", "overlap").value(), std::chrono::hours(168));
}

TEST(DurationText, AnythingElseIsRefusedByName) {
  for (const char* text :
       {"", "h", "24", "24 h", "24hours", "-1h", "1.5h", "1w", "99999999999d", "9223372036854775807d"}) {
    const auto span = parse_span(text, "overlap");
    ASSERT_FALSE(span) << text;
    EXPECT_EQ(span.error().reason, "bad_usage");
    EXPECT_EQ(span.error().field, "overlap");
  }
}

TEST(DurationText, ListsHaveCommas) {
  EXPECT_THAT(split_list(""), IsEmpty());
  EXPECT_THAT(split_list("a"), ElementsAre("a"));
  EXPECT_THAT(split_list("a,,b,"), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace tidegate::cli
