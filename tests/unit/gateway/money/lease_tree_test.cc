#include "gateway/core/lease_tree.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/core/lease_node.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::lease_tree_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Money money(std::string_view text) { return *Money::parse(text); }
Uuid uuid(std::uint64_t n) { return tidegate::test::SequentialIds::make(n); }
NodeId cap(std::uint64_t n) { return {.id = uuid(n), .end_user = {}}; }

struct LeaseTreeTest : testing::Test {
  const WalletId wallet_id{uuid(1)};
  const NodeId wallet{.id = uuid(1), .end_user = {}};
  const NodeId project = cap(2), key = cap(3), other_key = cap(4);
  LeaseTree tree{wallet_id, LeasePolicy{}};
  Mono now = Mono(seconds(1000));
  LeaseTree::Ticket next = 1;
  std::map<NodeId, Money> amounts;  // as billing counts

  LeaseTree::Actions ask(std::string_view amount, std::vector<NodeId> caps) {
    return tree.request(next++, caps, money(amount), now + seconds(2), now);
  }
  LeaseTree::Actions grant(const NodeId& node, std::string_view amount, std::string_view available = "1000",
                           Duration life = seconds(60), std::uint64_t lease = 0) {
    amounts[node] += money(amount);
    LeaseId id{node.id};
    if (lease != 0) id = LeaseId{uuid(lease)};
    return tree.on_granted(node, {.lease = id, .granted = money(amount), .lease_amount = amounts[node],
                                  .wallet_available = money(available), .expires = now + life, .renew_from = now + life / 2}, now);
  }
  LeaseTree::Actions refuse(const NodeId& node) {
    return tree.on_refused(node, Error(Code::kResourceExhausted, node == wallet ? "insufficient_balance" : "budget_exceeded",
                                       "the daily cap is 1 USD"), now);
  }
  Money free(const NodeId& node) const { return tree.find(node) ? tree.find(node)->free() : Money(); }
  Money held(const NodeId& node) const { return tree.find(node) ? tree.find(node)->held() : Money(); }
  static bool asks(const LeaseTree::Actions& actions, const NodeId& node) {
    return std::ranges::any_of(actions.acquires, [&](const auto& what) { return what.node == node; });
  }
};

TEST_F(LeaseTreeTest, AHoldIsTakenAtEveryLevelOrAtNone) {
  const auto first = ask("1", {project, key});
  EXPECT_EQ(first.acquires.size(), 3u) << "all at once, not one after the other";
  EXPECT_TRUE(grant(wallet, "10").granted.empty());
  EXPECT_TRUE(grant(project, "10").granted.empty());
  EXPECT_TRUE(held(wallet).is_zero()) << "nothing is taken while a level is missing";
  const auto granted = grant(key, "10").granted;
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(held(wallet), money("1"));
  EXPECT_EQ(held(project), money("1"));
  EXPECT_EQ(held(key), money("1"));
  ASSERT_EQ(granted[0].hold.caps.size(), 2u);
  EXPECT_EQ(granted[0].hold.caps[1].lease, LeaseId{key.id});
}

TEST_F(LeaseTreeTest, WhileEveryLeaseHasRoomAHoldNeedsNobody) {
  ask("1", {project, key});
  grant(wallet, "100");
  grant(project, "100");
  grant(key, "100");
  const auto actions = ask("1", {project, key});
  EXPECT_EQ(actions.granted.size(), 1u);
  EXPECT_TRUE(actions.acquires.empty());
}

TEST_F(LeaseTreeTest, ACapThatIsReachedRefusesInItsOwnWordsAndLeavesTheOthersUntouched) {
  ask("1", {project, key});
  grant(wallet, "10");
  grant(project, "10");
  const auto actions = refuse(key);
  ASSERT_EQ(actions.refused.size(), 1u);
  EXPECT_EQ(actions.refused[0].error.reason, "budget_exceeded");
  EXPECT_EQ(actions.refused[0].error.message, "the daily cap is 1 USD");
  EXPECT_EQ(free(wallet), money("10"));
  EXPECT_EQ(free(project), money("10"));
  EXPECT_EQ(ask("1", {project, key}).refused.size(), 1u) << "believed for a moment";
  EXPECT_EQ(ask("1", {project}).granted.size(), 1u) << "who has no such cap goes on";
}

TEST_F(LeaseTreeTest, SettlingSpendsAndFreesAtEveryLevel) {
  ask("3", {project});
  grant(wallet, "3");
  const auto granted = grant(project, "3").granted.at(0);
  tree.settle(granted.hold, money("1.25"), now);
  EXPECT_EQ(free(wallet), money("1.75"));
  EXPECT_EQ(free(project), money("1.75"));
  EXPECT_EQ(tree.find(project)->consumed(), money("1.25"));
  EXPECT_EQ(tree.root().consumed(), money("1.25"));
}

TEST_F(LeaseTreeTest, ARequestWaitingForItsCapDoesNotStopThoseOfOtherCaps) {
  ask("1", {key});
  grant(wallet, "10");
  ASSERT_TRUE(tree.find(key)->is_in_flight());
  ask("1", {other_key});
  EXPECT_EQ(grant(other_key, "5").granted.size(), 1u);
  EXPECT_EQ(tree.waiting(), 1u);
}

TEST_F(LeaseTreeTest, WhoWaitsForACapKeepsItsPlaceAtTheWallet) {
  ask("2", {key});
  grant(wallet, "2", "0");
  const auto later = ask("1", {other_key});
  EXPECT_TRUE(asks(later, wallet)) << "the 2 in the wallet's lease belong to the first in line";
  EXPECT_TRUE(grant(other_key, "5").granted.empty());
  EXPECT_EQ(grant(key, "5").granted.size(), 1u);
  EXPECT_EQ(held(wallet), money("2"));
}

TEST_F(LeaseTreeTest, ANearlyUsedUpCapKeepsNothingHereWhileTheWalletKeepsItsReserve) {
  ask("1", {key});
  grant(wallet, "10");
  const auto granted = grant(key, "1", "0.5").granted.at(0);
  EXPECT_TRUE(tree.find(key)->is_tail());
  EXPECT_FALSE(tree.root().is_tail());
  const auto actions = tree.settle(granted.hold, money("0.2"), now);
  ASSERT_EQ(actions.returns.size(), 1u);
  EXPECT_EQ(actions.returns[0].node, key);
  EXPECT_EQ(actions.returns[0].amount, money("0.8"));
  EXPECT_EQ(free(wallet), money("9.8"));
}

TEST_F(LeaseTreeTest, AtTheEndOfAPeriodTheNextOneIsAskedForAndTheOldRestGoesBack) {
  ask("1", {key});
  grant(wallet, "10");
  const auto old = grant(key, "5", "1000", seconds(3)).granted.at(0);
  now += seconds(3);
  const auto late = ask("1", {key});
  EXPECT_TRUE(late.granted.empty()) << "a lease belongs to one period";
  ASSERT_TRUE(asks(late, key));
  amounts[key] = Money();
  const auto actions = grant(key, "4", "1000", seconds(60), 77);
  ASSERT_EQ(actions.granted.size(), 1u);
  EXPECT_EQ(actions.granted[0].hold.caps[0].lease, LeaseId{uuid(77)});
  ASSERT_EQ(actions.returns.size(), 1u);
  EXPECT_EQ(actions.returns[0].lease, LeaseId{key.id});
  EXPECT_EQ(actions.returns[0].amount, money("4"));
  EXPECT_FALSE(actions.returns[0].is_awaited);
  tree.settle(old.hold, money("0.5"), now);
  EXPECT_EQ(free(key), money("3")) << "what the old period frees is not the new one's";
  EXPECT_EQ(tree.mismatches(), 0u);
}

TEST_F(LeaseTreeTest, EveryEndUserHasAnEscrowOfItsOwnAndIsForgottenWhenIdle) {
  const NodeId ann{.id = uuid(5), .end_user = uuid(100)}, bob{.id = uuid(5), .end_user = uuid(101)};
  ask("1", {ann});
  grant(wallet, "10");
  const auto hold = grant(ann, "1", "0").granted.at(0).hold;
  EXPECT_TRUE(asks(ask("1", {bob}), bob));
  grant(bob, "1", "0");
  tree.settle(hold, money("1"), now);
  EXPECT_EQ(tree.nodes(), 3u);
  now += seconds(59);
  for (const auto& back : tree.tick(now).returns) {
    amounts[back.node] -= back.amount;
    tree.on_returned(back.node, now);
  }
  EXPECT_EQ(tree.nodes(), 3u);
  now += seconds(2);
  tree.tick(now);
  EXPECT_EQ(tree.nodes(), 2u) << "bob's hold is still open";
  // Billing goes on counting the same lease.
  ask("1", {ann});
  grant(wallet, "1");
  EXPECT_EQ(grant(ann, "1", "0").granted.size(), 1u);
  EXPECT_EQ(tree.mismatches(), 0u);
}

TEST_F(LeaseTreeTest, ALoweredLimitSendsFreeMoneyBackAndARaisedOneOpensTheDoor) {
  ask("1", {key});
  grant(wallet, "10");
  grant(key, "10");
  const auto lowered = tree.on_cap_changed(key.id, true, now);
  ASSERT_EQ(lowered.returns.size(), 1u);
  EXPECT_EQ(lowered.returns[0].amount, money("9"));
  amounts[key] -= money("9");
  tree.on_returned(key, now);
  ask("1", {key});
  refuse(key);
  EXPECT_TRUE(asks(tree.on_cap_changed(key.id, false, now), key)) << "the reserve is filled again";
}

TEST_F(LeaseTreeTest, TheEndUsersKnownAtOnceAreBounded) {
  LeasePolicy policy;
  policy.nodes_max = 2;
  LeaseTree small(wallet_id, policy);
  const std::vector<NodeId> one = {cap(2)}, two = {cap(3)};
  EXPECT_TRUE(small.request(1, one, money("1"), now + seconds(1), now).refused.empty());
  EXPECT_EQ(small.request(2, two, money("1"), now + seconds(1), now).refused.size(), 1u);
}

TEST_F(LeaseTreeTest, AFreeRequestNeedsNoCapEither) {
  const auto actions = ask("0", {key});
  ASSERT_EQ(actions.granted.size(), 1u);
  EXPECT_TRUE(actions.granted[0].hold.caps.empty());
  EXPECT_TRUE(tree.settle(actions.granted[0].hold, Money(), now).acquires.empty());
}

}  // namespace
}  // namespace tidegate::gateway::lease_tree_test
