// Several gateways' lease books against one wallet, in a random order of events with late answers. The books check
// their own sums at every event; here the wallet is watched from outside.
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "base/core/random.h"
#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/money/one_wallet.h"

namespace tidegate::gateway::lease_book_random_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Money pico(std::uint64_t amount) { return Money::from_pico(static_cast<Int128>(amount)); }

struct World {
  struct Gateway {
    LeaseBook book{LeasePolicy{}};
    LeaseId lease;
    Money amount;    // billing: granted less returned
    Money consumed;  // billing: settled
    std::deque<LeaseBook::Acquire> acquires;
    std::deque<LeaseBook::Return> returns;
    std::vector<Hold> holds;
    std::map<LeaseBook::Ticket, Money> asked;
  };

  World(std::uint64_t seed, std::size_t gateway_count, Money balance_in) : rng(seed), balance(balance_in), gateways(gateway_count) {
    LeasePolicy policy;
    if (seed % 2 == 0) policy.horizon = seconds(75);
    for (std::size_t i = 0; i < gateway_count; ++i) {
      gateways[i].book = LeaseBook(policy);
      gateways[i].lease = LeaseId{tidegate::test::SequentialIds::make(i + 1)};
    }
  }

  Money leased() const {
    Money total;
    for (const Gateway& gateway : gateways) total += gateway.amount - gateway.consumed;
    return total;
  }
  void take(Gateway& gateway, LeaseBook::Actions actions) {
    if (actions.acquire) gateway.acquires.push_back(*actions.acquire);
    if (actions.give_back) gateway.returns.push_back(*actions.give_back);
    ASSERT_LE(gateway.acquires.size() + gateway.returns.size(), 1u) << "one call at a time";
    for (const auto& granted : actions.granted) {
      ASSERT_EQ(gateway.asked.at(granted.ticket), granted.hold.amount);
      gateway.asked.erase(granted.ticket);
      gateway.holds.push_back(granted.hold);
    }
    for (const auto& refused : actions.refused) {
      ASSERT_EQ(gateway.asked.erase(refused.ticket), 1u);
      refusals += refused.error.reason == "insufficient_balance" ? 1 : 0;
    }
  }
  void answer_acquire(Gateway& gateway) {
    const auto what = gateway.acquires.front();
    gateway.acquires.pop_front();
    const Money available = balance - leased();
    if (available < what.least) {
      return take(gateway, gateway.book.on_refused(Error(Code::kResourceExhausted, "insufficient_balance", ""), now));
    }
    const Money share = Money::from_pico(available.pico() / (2 * static_cast<Int128>(gateways.size())));
    const Money granted = std::min(what.want, std::max(what.least, share));
    gateway.amount += granted;
    take(gateway, gateway.book.on_granted({.lease = gateway.lease,
                                           .granted = granted,
                                           .lease_amount = gateway.amount,
                                           .wallet_available = balance - leased(),
                                           .expires = now + seconds(10),
                                           .renew_from = now + seconds(5)},
                                          now));
  }
  void step() {
    now += milliseconds(static_cast<std::int64_t>(rng.below(40)));
    Gateway& gateway = gateways[rng.below(gateways.size())];
    switch (rng.below(6)) {
      case 0:
      case 1: {
        const Money amount = pico(rng.below(1000));
        gateway.asked[next] = amount;
        return take(gateway, gateway.book.request(next++, amount, now + seconds(1), now));
      }
      case 2:
        if (gateway.holds.empty()) return;
        {
          const std::size_t which = rng.below(gateway.holds.size());
          const Hold hold = gateway.holds[which];
          gateway.holds.erase(gateway.holds.begin() + static_cast<std::ptrdiff_t>(which));
          const Money spent = pico(rng.below(static_cast<std::uint64_t>(hold.amount.pico()) + 1));
          gateway.consumed += spent;
          balance -= spent;
          return take(gateway, gateway.book.settle(hold, spent, now));
        }
      case 3:
        if (!gateway.acquires.empty()) return answer_acquire(gateway);
        if (!gateway.returns.empty()) {
          gateway.amount -= gateway.returns.front().amount;
          gateway.returns.pop_front();
          return take(gateway, gateway.book.on_returned(now));
        }
        return;
      case 4: return take(gateway, gateway.book.tick(now));
      case 5:
        if (!gateway.holds.empty()) {
          Hold& hold = gateway.holds[rng.below(gateway.holds.size())];
          return take(gateway, gateway.book.shrink(hold, pico(static_cast<std::uint64_t>(hold.amount.pico()) / 2), now));
        }
    }
  }
  void check() const {
    ASSERT_FALSE((balance - leased()).is_negative()) << "overspent";
    for (const Gateway& gateway : gateways) {
      Money under_way;
      for (const auto& what : gateway.returns) under_way += what.amount;
      ASSERT_EQ(gateway.amount - gateway.consumed, gateway.book.free() + gateway.book.held() + under_way);
      ASSERT_EQ(gateway.book.mismatches(), 0u);
    }
  }

  Rng rng;
  Money balance;
  std::vector<Gateway> gateways;
  Mono now = Mono(seconds(100));
  LeaseBook::Ticket next = 1;
  int refusals = 0;
};

class LeaseBookRandom : public testing::TestWithParam<std::uint64_t> {};

TEST_P(LeaseBookRandom, NoOrderOfEventsOverspendsOrLosesMoney) {
  World world(GetParam(), 1 + GetParam() % 4, pico(20'000 + GetParam() * 1000));
  for (int i = 0; i < 4000; ++i) {
    world.step();
    world.check();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(world.refusals, 0) << "the wallet never ran out: the test proves nothing";
}

TEST_P(LeaseBookRandom, WhenARequestIsRefusedNothingIsStrandedForLong) {
  World world(GetParam(), 4, pico(20'000));
  for (int i = 0; i < 3000; ++i) world.step();
  // Traffic ends; every hold is settled for nothing, answers arrive.
  for (int i = 0; i < 200; ++i) {
    world.now += seconds(1);
    for (auto& gateway : world.gateways) {
      if (!gateway.holds.empty()) {
        const Hold hold = gateway.holds.back();
        gateway.holds.pop_back();
        world.take(gateway, gateway.book.settle(hold, Money(), world.now));
      } else if (!gateway.acquires.empty()) {
        world.answer_acquire(gateway);
      } else if (!gateway.returns.empty()) {
        gateway.amount -= gateway.returns.front().amount;
        gateway.returns.pop_front();
        world.take(gateway, gateway.book.on_returned(world.now));
      } else {
        world.take(gateway, gateway.book.tick(world.now));
      }
    }
  }
  EXPECT_TRUE(world.leased().is_zero()) << world.leased().to_string();
}

INSTANTIATE_TEST_SUITE_P(Seeds, LeaseBookRandom, testing::Range<std::uint64_t>(1, 25));

}  // namespace
}  // namespace tidegate::gateway::lease_book_random_test
