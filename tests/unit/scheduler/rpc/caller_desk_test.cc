#include "scheduler/rpc/caller_desk.h"

#include <gtest/gtest.h>

#include "base/crypto/api_key.h"
#include "tests/support/scheduler/fake_directory.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/sim_clock.h"

namespace tidegate::scheduler {
namespace {

const std::string kToken = "aaaa.bbbb.cccc";  // a person's, by its shape

struct CallerDeskTest : testing::Test {
  CallerDeskTest() { directory_.add(kToken, {"person/ann", CallerRole::kOwner, false}); }
  Result<FleetCaller> find(const std::string& token) { return desk_.find(token, Deadline::never()); }

  test::SeededEntropy entropy_;
  const std::string operator_key_ = mint_api_key(entropy_, KeyKind::kAdmin).text;
  test::SimClock clock_;
  FakeDirectory directory_;
  CallerDesk desk_{operator_key_, &directory_, clock_, {std::chrono::seconds(5), 3, std::chrono::seconds(1), 3}};
};

TEST_F(CallerDeskTest, TheOperatorsKeyNeedsNobodyElse) {
  directory_.set_away(true);
  const auto found = find(operator_key_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->role, CallerRole::kOperator);
  EXPECT_EQ(found->actor, "admin/" + operator_key_.substr(4, kPublicIdLength));
  EXPECT_EQ(directory_.asked(), 0);
}

TEST_F(CallerDeskTest, AGoodAnswerIsRememberedForAWhile) {
  EXPECT_EQ(find(kToken)->actor, "person/ann");
  directory_.remove(kToken);
  clock_.advance(std::chrono::milliseconds(4'999));
  EXPECT_TRUE(find(kToken));
  EXPECT_EQ(directory_.asked(), 1);
  clock_.advance(std::chrono::milliseconds(1));
  EXPECT_FALSE(find(kToken)) << "revoked for good after that";
}

TEST_F(CallerDeskTest, ABadAnswerIsRememberedForAShorterOne) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(find("x.y.z").error().reason, "bad_token");
  EXPECT_EQ(directory_.asked(), 1) << "whoever repeats a bad token costs the directory one look";
  directory_.add("x.y.z", {"person/bob", CallerRole::kViewer, false});
  clock_.advance(std::chrono::milliseconds(999));
  EXPECT_EQ(find("x.y.z").error().code, Code::kUnauthenticated);
  clock_.advance(std::chrono::milliseconds(1));
  EXPECT_TRUE(find("x.y.z"));
}

TEST_F(CallerDeskTest, BadTokensPushNoGoodOnesOutAndHaveALimitOfTheirOwn) {
  EXPECT_TRUE(find(kToken));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(find("x.y." + std::to_string(i)));
  EXPECT_TRUE(find(kToken));
  EXPECT_EQ(directory_.asked(), 11) << "the good one is still known";
  EXPECT_FALSE(find("x.y.9"));
  EXPECT_EQ(directory_.asked(), 11) << "the newest is remembered";
  EXPECT_FALSE(find("x.y.0"));
  EXPECT_EQ(directory_.asked(), 12) << "the oldest is not";
}

TEST_F(CallerDeskTest, ThatTheDirectoryWasAwayIsNotRemembered) {
  directory_.set_away(true);
  EXPECT_EQ(find(kToken).error().code, Code::kUnavailable);
  directory_.set_away(false);
  EXPECT_TRUE(find(kToken));
}

TEST_F(CallerDeskTest, WhileNobodyKnowsWhoCallsNobodyIsLetIn) {
  EXPECT_TRUE(find(kToken));
  directory_.set_away(true);
  EXPECT_EQ(find("x.y.z").error().code, Code::kUnavailable);
  clock_.advance(std::chrono::seconds(5));
  EXPECT_EQ(find(kToken).error().code, Code::kUnavailable);
}

TEST_F(CallerDeskTest, WhatIsRememberedHasALimit) {
  for (int i = 0; i < 10; ++i) {
    const std::string token = kToken + std::to_string(i);
    directory_.add(token, {"person/" + std::to_string(i), CallerRole::kViewer, false});
    EXPECT_EQ(find(token)->actor, "person/" + std::to_string(i));
  }
  EXPECT_EQ(find(kToken + "9")->actor, "person/9");
  EXPECT_EQ(directory_.asked(), 10) << "the newest is remembered";
  EXPECT_TRUE(find(kToken + "0"));
  EXPECT_EQ(directory_.asked(), 11) << "the oldest is not";
}

TEST_F(CallerDeskTest, WhatIsNoTokenIsRefusedWithoutAsking) {
  EXPECT_EQ(desk_.check_shape("").error().reason, "missing_token");
  EXPECT_EQ(desk_.check_shape("hello").error().reason, "bad_token");
  EXPECT_EQ(desk_.check_shape(mint_api_key(entropy_, KeyKind::kTenant).text).error().reason, "bad_token");
  EXPECT_TRUE(desk_.check_shape(kToken));
  EXPECT_TRUE(desk_.check_shape(mint_api_key(entropy_, KeyKind::kAdmin).text));
}

TEST_F(CallerDeskTest, WithoutADirectoryOnlyTheOperatorsKeyCalls) {
  CallerDesk alone(operator_key_, nullptr, clock_);
  EXPECT_FALSE(alone.check_shape(kToken));
  EXPECT_TRUE(alone.find(operator_key_, Deadline::never()));
  EXPECT_EQ(alone.find(mint_api_key(entropy_, KeyKind::kAdmin).text, Deadline::never()).error().reason, "bad_token");
}

TEST_F(CallerDeskTest, AnEmptyOperatorsKeyIsNobodys) {
  CallerDesk broken("", nullptr, clock_);
  EXPECT_FALSE(broken.find("", Deadline::never()));
}

}  // namespace
}  // namespace tidegate::scheduler
