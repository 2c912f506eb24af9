#include "scheduler/core/rollout.h"

#include <gmock/gmock.h>

#include <map>
#include <utility>
#include <vector>

#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RolloutTest : public ::testing::Test {
 protected:
  RolloutTest() { deployment = tang_deployment(3); }

  /// An edit of `threads`.
  void edit(std::vector<std::int32_t> steps = {}, std::int32_t hold_s = 0) {
    Deployment wanted = deployment;
    wanted.threads = deployment.threads + 2;
    wanted.rollout = {};
    wanted.rollout.steps = std::move(steps);
    wanted.rollout.hold_s = hold_s;
    auto next = edit_deployment(&deployment, wanted, clock.wall());
    ASSERT_TRUE(next) << next.error().to_string();
    deployment = *next;
  }
  RolloutTargets targets() const { return rollout_targets(deployment, deployment.replicas, clock.wall()); }
  /// Whether something changed, when so many serve.
  bool advance(std::int32_t stable_ready, std::int32_t candidate_ready, std::string failure = {},
               std::string stable_failure = {}) {
    auto next = advance_rollout(deployment,
                                {.wanted = deployment.replicas,
                                 .stable_ready = stable_ready,
                                 .candidate_ready = candidate_ready,
                                 .candidate_failure = std::move(failure),
                                 .stable_failure = std::move(stable_failure)},
                                clock.wall());
    if (!next) return false;
    deployment = *std::move(next);
    return true;
  }

  /// Of three, `served` were replaced when it was taken back, and one of the old ones does not start again.
  void fail_half_way(std::int32_t served, std::string stable_failure = "tang-2 ended with exit status 1") {
    edit();
    for (std::int32_t i = 0; i < served; ++i) advance(3 - i, i + 1);
    deployment = *roll_back(deployment, "looks odd", clock.wall());
    clock.advance(std::chrono::seconds(kBackCrashLoopS));
    EXPECT_TRUE(advance(3 - served, served, {}, std::move(stable_failure)));
    ASSERT_EQ(deployment.rollout.phase, RolloutPhase::kFailed);
  }

  test::SimClock clock;
  Deployment deployment;
};

TEST_F(RolloutTest, ReplicaByReplicaThereAreNeverFewerThanBefore) {
  edit();
  EXPECT_EQ(deployment.revision, 1);
  EXPECT_EQ(deployment.rollout.revision, 2);
  for (std::int32_t replaced = 0; replaced < 3; ++replaced) {
    EXPECT_EQ(targets().stable, 3 - replaced);
    EXPECT_EQ(targets().candidate, replaced + 1) << "one more than wanted, until it serves";
    EXPECT_FALSE(targets().share_percent);
    EXPECT_FALSE(advance(3 - replaced, replaced)) << "the new one does not serve yet";
    EXPECT_TRUE(advance(3 - replaced, replaced + 1));
  }
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
  EXPECT_EQ(deployment.revision, 2);
  EXPECT_EQ(deployment.threads, 2);
  EXPECT_EQ(targets().stable, 3);
  EXPECT_EQ(targets().candidate, 0);
  ASSERT_TRUE(deployment.previous);
  EXPECT_EQ(deployment.previous->threads, 0);
}

TEST_F(RolloutTest, AHoldIsKeptBetweenReplicas) {
  edit({}, 10);
  EXPECT_TRUE(advance(3, 1)) << "nothing was looked at yet: no hold before the first";
  EXPECT_FALSE(advance(2, 2));
  clock.advance(10s);
  EXPECT_TRUE(advance(2, 2));
}

TEST_F(RolloutTest, ByStepsTheOldRevisionStaysWholeUntilTheEnd) {
  edit({10, 100});
  EXPECT_EQ(targets().stable, 3);
  EXPECT_EQ(targets().candidate, 1);
  EXPECT_EQ(targets().share_percent, 0) << "no traffic before it serves";
  EXPECT_FALSE(advance(3, 0));
  EXPECT_TRUE(advance(3, 1));
  EXPECT_EQ(targets().share_percent, 10);
  EXPECT_EQ(targets().candidate, 3) << "no hold: everything is next";
  EXPECT_FALSE(advance(3, 2));
  EXPECT_TRUE(advance(3, 3));
  EXPECT_EQ(targets().share_percent, 100);
  EXPECT_EQ(targets().stable, 3) << "gateways may not know the share yet";
  EXPECT_FALSE(advance(3, 3));
  clock.advance(std::chrono::seconds(kFinalHoldS));
  EXPECT_FALSE(advance(3, 2)) << "one of the new ones is gone: the old ones are needed";
  EXPECT_TRUE(advance(3, 3));
  EXPECT_EQ(deployment.revision, 2);
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
}

TEST_F(RolloutTest, WhileAStepIsHeldNothingIsStartedForTheNext) {
  edit({10, 100}, 60);
  EXPECT_TRUE(advance(3, 1));
  EXPECT_EQ(targets().candidate, 1);
  clock.advance(60s);
  EXPECT_EQ(targets().candidate, 3);
}

TEST_F(RolloutTest, ACanaryWaitsForItsPromotionAndThenGetsEverything) {
  edit({10});
  EXPECT_TRUE(advance(3, 1));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kWaiting);
  clock.advance(1h);
  EXPECT_FALSE(advance(3, 1));
  auto promoted = promote_rollout(deployment, false, clock.wall());
  ASSERT_TRUE(promoted);
  deployment = *promoted;
  EXPECT_THAT(deployment.rollout.steps, ElementsAre(10, 100));
  EXPECT_EQ(targets().share_percent, 10) << "until its replicas are there";
  EXPECT_TRUE(advance(3, 3));
  EXPECT_EQ(targets().share_percent, 100);
}

TEST_F(RolloutTest, RolledBackItGetsNothingAtOnceAndGoes) {
  edit({10});
  advance(3, 1);
  deployment = *roll_back(deployment, "looks odd", clock.wall());
  EXPECT_EQ(targets().share_percent, 0);
  EXPECT_EQ(targets().candidate, 1) << "its streams go on";
  EXPECT_FALSE(advance(2, 1)) << "an old one is just down";
  EXPECT_TRUE(advance(3, 1));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
  EXPECT_EQ(deployment.revision, 1);
  EXPECT_EQ(targets().candidate, 0);
}

TEST_F(RolloutTest, HalfReplacedItGoesBackWithoutLosingReplicas) {
  edit();
  advance(3, 1);
  advance(2, 2);
  deployment = *roll_back(deployment, "looks odd", clock.wall());
  EXPECT_EQ(targets().stable, 3);
  EXPECT_EQ(targets().candidate, 2) << "they serve until the old ones are back";
  EXPECT_FALSE(advance(1, 2));
  EXPECT_TRUE(advance(3, 2));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
}

TEST_F(RolloutTest, WhatFailsAgainAndAgainGoesBackByItself) {
  edit({10});
  EXPECT_TRUE(advance(3, 0, "tang.2-0 ended with exit status 1"));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kBack);
  EXPECT_THAT(deployment.rollout.why, HasSubstr("exit status 1"));
  EXPECT_EQ(targets().candidate, 0);
  EXPECT_TRUE(advance(3, 0));
  EXPECT_EQ(deployment.revision, 1);
}

TEST_F(RolloutTest, WhereTheOldOneFailsAgainAndAgainTooItEndsAndSaysBoth) {
  fail_half_way(2, "tang-2 ended with signal 9");
  EXPECT_THAT(deployment.rollout.why, HasSubstr("looks odd"));
  EXPECT_THAT(deployment.rollout.why, HasSubstr("1 of 3 replicas of revision 1"));
  EXPECT_THAT(deployment.rollout.why, HasSubstr("tang-2 ended with signal 9"));
  EXPECT_EQ(targets().stable, 3) << "its replicas are still started again";
  EXPECT_EQ(targets().candidate, 2) << "what serves stays";
  clock.advance(24h);
  EXPECT_FALSE(advance(1, 2, {}, "tang-2 ended with signal 9")) << "once is enough";
}

TEST_F(RolloutTest, FailuresOfBeforeItWentBackEndNothing) {
  edit();
  advance(3, 1);
  deployment = *roll_back(deployment, "looks odd", clock.wall());
  clock.advance(std::chrono::seconds(kBackCrashLoopS) - 1ms);
  EXPECT_FALSE(advance(2, 1, {}, "tang-2 ended with signal 9"));
  clock.advance(1ms);
  EXPECT_TRUE(advance(2, 1, {}, "tang-2 ended with signal 9"));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kFailed);
}

TEST_F(RolloutTest, AnOldRevisionThatNeitherServesNorFailsIsWaitedForAnHour) {
  edit({10});
  advance(3, 1);
  deployment = *roll_back(deployment, "looks odd", clock.wall());
  clock.advance(std::chrono::seconds(kBackLimitS) - 1ms);
  EXPECT_FALSE(advance(2, 1)) << "it may be loading";
  clock.advance(1ms);
  EXPECT_TRUE(advance(2, 1));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kFailed);
  EXPECT_THAT(deployment.rollout.why, HasSubstr("3600 s"));
  EXPECT_EQ(targets().share_percent, 0) << "it was taken back";
  EXPECT_EQ(targets().candidate, 1);
}

TEST_F(RolloutTest, AFailedOneIsOverWhenTheOldRevisionServesAfterAll) {
  fail_half_way(2);
  EXPECT_FALSE(advance(2, 2));
  EXPECT_TRUE(advance(3, 2));
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
  EXPECT_EQ(deployment.revision, 1);
}

TEST_F(RolloutTest, AfterAFailureTheNewContentGoesOnFromWhereItWas) {
  fail_half_way(2);
  Deployment wanted = deployment;
  set_spec(wanted, deployment.rollout.spec);
  const auto applied = edit_deployment(&deployment, wanted, clock.wall());
  const auto promoted = promote_rollout(deployment, false, clock.wall());
  ASSERT_TRUE(applied) << applied.error().to_string();
  ASSERT_TRUE(promoted) << promoted.error().to_string();
  for (const Deployment& next : {*applied, *promoted}) {
    deployment = next;
    EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kRolling);
    EXPECT_EQ(deployment.rollout.revision, 2);
    EXPECT_EQ(deployment.rollout.why, "");
    EXPECT_EQ(targets().candidate, 3);
    EXPECT_TRUE(advance(1, 3));
    EXPECT_EQ(deployment.revision, 2);
  }
}

TEST_F(RolloutTest, AfterAFailureTheOldContentIsTriedForAnotherHour) {
  fail_half_way(2);
  Deployment wanted = deployment;
  wanted.replicas = 2;
  const auto applied = edit_deployment(&deployment, wanted, clock.wall());
  const auto back = roll_back(deployment, "it was asked for", clock.wall());
  ASSERT_TRUE(applied) << applied.error().to_string();
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(applied->replicas, 2);
  for (const Deployment& next : {*applied, *back}) {
    deployment = next;
    deployment.replicas = 3;
    EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kBack);
    EXPECT_FALSE(advance(1, 2)) << "the hour begins anew";
    EXPECT_TRUE(advance(3, 2));
    EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
    EXPECT_EQ(deployment.revision, 1);
  }
}

TEST_F(RolloutTest, AThirdContentTakesThePlaceOfWhatServesMore) {
  for (const std::int32_t served : {1, 2}) {
    SCOPED_TRACE(served);
    deployment = tang_deployment(3);
    fail_half_way(served);
    Deployment wanted = deployment;
    wanted.threads = 9;
    const auto next = edit_deployment(&deployment, wanted, clock.wall());
    ASSERT_TRUE(next) << next.error().to_string();
    EXPECT_EQ(next->revision, served == 2 ? 2 : 1) << "of it more serve, and they stay until the third one does";
    EXPECT_EQ(next->rollout.phase, RolloutPhase::kRolling);
    EXPECT_EQ(next->rollout.revision, 3);
    EXPECT_EQ(next->rollout.spec.threads, 9);
    EXPECT_FALSE(next->rollout.serves_more);
  }
}

TEST_F(RolloutTest, AFailedOneIsDrained) {
  fail_half_way(2);
  const auto drained = drain_deployment(deployment);
  ASSERT_TRUE(drained) << drained.error().to_string();
  EXPECT_TRUE(drained->is_drained);
  deployment = *drained;
  deployment.replicas = 0;
  EXPECT_TRUE(advance(0, 0)) << "nothing is wanted, so nothing is missing";
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kNone);
}

TEST_F(RolloutTest, WithoutARolloutARollBackGoesToTheRevisionBefore) {
  EXPECT_EQ(roll_back(deployment, "", clock.wall()).error().reason, "nothing_before");
  edit();
  advance(3, 1);
  advance(2, 2);
  advance(1, 3);
  ASSERT_EQ(deployment.revision, 2);
  deployment = *roll_back(deployment, "", clock.wall());
  EXPECT_EQ(deployment.rollout.phase, RolloutPhase::kRolling);
  EXPECT_EQ(deployment.rollout.revision, 3) << "a number is never used twice: its replicas' names are its own";
  EXPECT_EQ(deployment.rollout.spec.threads, 0);
}

TEST_F(RolloutTest, NothingRunsSoNothingIsRolled) {
  deployment.replicas = 0;
  edit();
  EXPECT_TRUE(advance(0, 0));
  EXPECT_EQ(deployment.revision, 2);
}

TEST_F(RolloutTest, ACanaryOfADeploymentThatSleepsIsNotPromotedInItsSleep) {
  edit({10});
  advance(3, 1);
  ASSERT_EQ(deployment.rollout.phase, RolloutPhase::kWaiting);
  deployment.replicas = 0;
  EXPECT_FALSE(advance(0, 0));
}

TEST_F(RolloutTest, NothingIsPromotedUnseenWhileTheDeploymentSleeps) {
  const std::map<std::vector<std::int32_t>, std::int32_t> holds = {{{10}, 0}, {{10, 100}, 60}};
  for (const auto& [steps, hold_s] : holds) {
    SCOPED_TRACE(hold_s);
    deployment = tang_deployment(0);
    edit(steps, hold_s);
    clock.advance(1h);
    EXPECT_FALSE(advance(0, 0));
    EXPECT_EQ(deployment.revision, 1) << "nobody has seen the new one serve";
    Deployment awake = deployment;
    awake.replicas = 3;
    std::swap(deployment, awake);
    EXPECT_TRUE(advance(3, 1));
    EXPECT_EQ(targets().share_percent, 10);
    std::swap(deployment, awake);
    const auto promoted = promote_rollout(deployment, true, clock.wall());
    ASSERT_TRUE(promoted);
    deployment = *promoted;
    EXPECT_TRUE(advance(0, 0)) << "a person said so";
    EXPECT_EQ(deployment.revision, 2);
  }
}

TEST_F(RolloutTest, TheSameContentTwiceChangesNothing) {
  const auto again = edit_deployment(&deployment, deployment, clock.wall());
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, deployment);
  edit({10});
  Deployment wanted = deployment;
  set_spec(wanted, deployment.rollout.spec);
  const auto same = edit_deployment(&deployment, wanted, clock.wall());
  ASSERT_TRUE(same);
  EXPECT_EQ(*same, deployment);
}

TEST_F(RolloutTest, TheOldContentAskedForAgainTakesTheNewOneBack) {
  edit({10});
  Deployment wanted = deployment;
  wanted.rollout = {};
  wanted.replicas = 5;
  const auto back = edit_deployment(&deployment, wanted, clock.wall());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->rollout.phase, RolloutPhase::kBack);
  EXPECT_EQ(back->replicas, 5);
}

TEST_F(RolloutTest, MoreReplicasAreNoNewRevision) {
  Deployment wanted = deployment;
  wanted.replicas = 7;
  const auto next = edit_deployment(&deployment, wanted, clock.wall());
  ASSERT_TRUE(next);
  EXPECT_EQ(next->replicas, 7);
  EXPECT_EQ(next->rollout.phase, RolloutPhase::kNone);
}

TEST_F(RolloutTest, OneRolloutAtATime) {
  edit();
  Deployment other = deployment;
  other.threads = 9;
  EXPECT_EQ(edit_deployment(&deployment, other, clock.wall()).error().reason, "rollout_running");
  EXPECT_EQ(drain_deployment(deployment).error().reason, "rollout_running");
}

TEST_F(RolloutTest, AnotherModelAnswersUnderTheSameNameOnlyWhenThatIsSaid) {
  Deployment other = deployment;
  other.model = "sim-fast";
  other.variant = "sim";
  EXPECT_EQ(edit_deployment(&deployment, other, clock.wall()).error().reason, "serves_fixed");
  other.serves = "tang-moe";
  const auto next = edit_deployment(&deployment, other, clock.wall());
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(next->serves, "tang-moe");
  Deployment done = *next;
  set_spec(done, next->rollout.spec);
  const Catalogue catalogue = test_catalogue();
  const auto specs = replica_specs(done, catalogue, "/models");
  EXPECT_EQ(specs[0].model, "tang-moe") << "what is asked for";
  EXPECT_EQ(specs[0].variant, "sim-fast/sim") << "what answers";
}

TEST_F(RolloutTest, BadStepsAreRefusedByField) {
  Deployment wanted = deployment;
  wanted.threads = 1;
  const std::vector<std::vector<std::int32_t>> bad = {{0}, {101}, {10, 10}, {50, 10}};
  for (const std::vector<std::int32_t>& steps : bad) {
    wanted.rollout.steps = steps;
    const auto refused = edit_deployment(&deployment, wanted, clock.wall());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "rollout_steps");
  }
  wanted.rollout.steps = {10};
  EXPECT_EQ(edit_deployment(nullptr, wanted, clock.wall()).error().reason, "nothing_to_share");
  wanted.pool = "other";
  EXPECT_EQ(edit_deployment(&deployment, wanted, clock.wall()).error().reason, "canary_elsewhere");
}

TEST_F(RolloutTest, ADrainedDeploymentComesBackWithTheNextEdit) {
  const auto drained = drain_deployment(deployment);
  ASSERT_TRUE(drained);
  EXPECT_TRUE(drained->is_drained);
  const auto back = edit_deployment(&*drained, deployment, clock.wall());
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->is_drained);
}

TEST_F(RolloutTest, AMoveIsAllOfItAtOnceUnderANewRevision) {
  const auto moved = move_deployment(deployment, {"eu-2", "spare"});
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->region, "eu-2");
  EXPECT_EQ(moved->pool, "spare");
  EXPECT_EQ(moved->revision, 2);
  EXPECT_EQ(moved->revisions, 2);
  EXPECT_EQ(moved->rollout.phase, RolloutPhase::kNone);
  EXPECT_FALSE(moved->previous);
}

TEST_F(RolloutTest, WhatARollBackGoesToMovesAlong) {
  const std::int32_t threads = deployment.threads;
  edit();
  for (std::int32_t i = 0; i < 3; ++i) advance(3 - i, i + 1);
  ASSERT_TRUE(deployment.previous);
  const auto moved = move_deployment(deployment, {"eu-2", "spare"});
  ASSERT_TRUE(moved);
  ASSERT_TRUE(moved->previous);
  EXPECT_EQ(moved->previous->region, "eu-2");
  EXPECT_EQ(moved->previous->threads, threads);
  // Content that differed in its place alone is the same content there.
  Deployment same = deployment;
  same.previous = spec_of(deployment);
  same.previous->pool = "elsewhere";
  EXPECT_FALSE(move_deployment(same, {"eu-2", "spare"})->previous);
}

TEST_F(RolloutTest, AMoveEndsAFailedRolloutAndWaitsForOneThatGoesOn) {
  edit();
  EXPECT_EQ(move_deployment(deployment, {"eu-2", "spare"}).error().reason, "rollout_running");
  deployment = tang_deployment(3);
  fail_half_way(1);
  const auto moved = move_deployment(deployment, {"eu-2", "spare"});
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->rollout.phase, RolloutPhase::kNone);
  EXPECT_EQ(moved->revision, 3) << "no number is used twice";
}

TEST(ReplicaName, SaysItsDeploymentAndRevision) {
  EXPECT_EQ(replica_name("a-b", 1, 3), "a-b-3");
  EXPECT_EQ(replica_name("a-b", 12, 3), "a-b.12-3");
  for (const std::int32_t revision : {1, 12}) {
    EXPECT_EQ(revision_of(replica_name("a-b", revision, 3)), revision);
    EXPECT_EQ(deployment_of(replica_name("a-b", revision, 3)), "a-b");
  }
  EXPECT_EQ(arm_name("a-b", 1), "a-b.1");
  EXPECT_EQ(arm_name("", 1), "");
}

}  // namespace
}  // namespace tidegate::scheduler
