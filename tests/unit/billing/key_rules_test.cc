#include "billing/core/key_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidegate::billing::key_rules_test {
namespace {

using std::chrono::hours;
using testing::ElementsAre;
using testing::IsEmpty;

const Wall kNow = wall_from_unix_micros(1'795'248'000'000'000);

TEST(KeyRules, ScopesAreKnownOrderedAndEachOnce) {
  EXPECT_THAT(read_scopes({}).value(), IsEmpty());
  EXPECT_THAT(read_scopes({"usage", "chat", "usage"}).value(), ElementsAre("chat", "usage"));
  const auto unknown = read_scopes({"chat", "admin"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().field, "scopes");
  EXPECT_NE(unknown.error().message.find("admin"), std::string::npos);
}

TEST(KeyRules, SourcesAreCanonicalBoundedAndEachOnce) {
  EXPECT_THAT(read_sources({"2001:DB8::/32", "203.0.113.7", "203.0.113.7/32"}).value(),
              ElementsAre("2001:db8::/32", "203.0.113.7/32"));
  EXPECT_EQ(read_sources({"10.1.2.3/8"}).error().field, "sources");
  EXPECT_EQ(read_sources(std::vector<std::string>(33, "10.0.0.0/8")).error().field, "sources");
}

TEST(KeyRules, ATenantHasAndMakesSoManyKeys) {
  const KeyLimits limits{.alive_max = 5, .created_day_max = 3};
  EXPECT_TRUE(check_key_counts({.alive = 4, .created_day = 2}, limits));
  const auto alive = check_key_counts({.alive = 5, .created_day = 0}, limits);
  ASSERT_FALSE(alive);
  EXPECT_EQ(alive.error().code, Code::kResourceExhausted);
  EXPECT_EQ(alive.error().reason, "too_many_keys");
  EXPECT_NE(alive.error().message.find("keys.of_tenant"), std::string::npos);
  const auto made = check_key_counts({.alive = 0, .created_day = 3}, limits);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("keys.created_per_day"), std::string::npos);
}

TEST(KeyRules, RotationLetsTheOldKeyEndAfterTheOverlap) {
  const auto plan = plan_rotation({}, hours(24), std::nullopt, kNow);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->old_ends, kNow + hours(24));
  EXPECT_FALSE(plan->successor_expires);
}

TEST(KeyRules, AnExpiryIsNeverPutOffByTheOverlapAndIsInherited) {
  KeyLife old;
  old.expires = kNow + hours(2);
  const auto plan = plan_rotation(old, hours(24), std::nullopt, kNow);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->old_ends, kNow + hours(2));
  EXPECT_EQ(plan->successor_expires, kNow + hours(2));
  EXPECT_EQ(plan_rotation(old, hours(0), kNow + hours(900), kNow)->successor_expires, kNow + hours(900));
  EXPECT_EQ(plan_rotation(old, hours(0), std::nullopt, kNow)->old_ends, kNow) << "no overlap: the old key ends at once";
}

TEST(KeyRules, OnlyALiveKeyIsRotatedAndOnce) {
  KeyLife revoked;
  revoked.revoked = kNow - hours(1);
  EXPECT_EQ(plan_rotation(revoked, hours(1), std::nullopt, kNow).error().reason, "key_is_over");
  KeyLife expired;
  expired.expires = kNow;
  EXPECT_EQ(plan_rotation(expired, hours(1), std::nullopt, kNow).error().reason, "key_is_over");
  KeyLife rotated;
  rotated.replaced_by = "0198f000-0000-7000-8000-000000000001";
  const auto again = plan_rotation(rotated, hours(1), std::nullopt, kNow);
  EXPECT_EQ(again.error().reason, "already_rotated");
  EXPECT_NE(again.error().message.find(rotated.replaced_by), std::string::npos);
}

TEST(KeyRules, OverlapAndExpiryAreBounded) {
  EXPECT_EQ(plan_rotation({}, hours(-1), std::nullopt, kNow).error().field, "overlap_us");
  EXPECT_EQ(plan_rotation({}, hours(24 * 90 + 1), std::nullopt, kNow).error().field, "overlap_us");
  EXPECT_TRUE(plan_rotation({}, hours(24 * 90), std::nullopt, kNow));
  EXPECT_EQ(plan_rotation({}, hours(1), kNow, kNow).error().field, "expires_us");
}

}  // namespace
}  // namespace tidegate::billing::key_rules_test
