// A steady load while billing stands still: what a lease must hold for it, and what it must leave to others.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/money/one_wallet.h"

namespace tidegate::gateway::lease_horizon_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Money money(std::string_view text) { return *Money::parse(text); }

LeasePolicy policy_of(Duration horizon) {
  LeasePolicy policy;
  policy.horizon = horizon;
  return policy;
}

/// Requests at a fixed pace against one wallet, and billing, which answers within a step unless it is frozen.
class Shop {
 public:
  struct Load {
    Duration every = milliseconds(50);
    Money hold;
    Money cost;
    Duration life = seconds(1);  ///< of a request
  };

  Shop(Duration horizon, Money wallet, Load load) : available(wallet), load_(load), book_(policy_of(horizon)) {}

  void run(Duration span) {
    for (const Mono end = now + span; now < end;) step();
  }
  void ask_no_more() { next_request_ = Mono::max(); }
  const LeaseBook& book() const { return book_; }

  Money available;  ///< in the wallet, for everybody
  bool is_frozen = false;
  Duration lease_life = seconds(120);
  Mono now = Mono(seconds(1000));
  // What happened.
  int served = 0;
  int waited = 0;   ///< of those served
  int refused = 0;
  int calls = 0;    ///< that billing answered
  Duration least_left = Duration::max();  ///< of the lease, at any step

 private:
  struct Open {
    Hold hold;
    Mono ends;
  };

  void step() {
    now += milliseconds(50);
    if (!is_frozen) answer();
    for (; !open_.empty() && open_.front().ends <= now; open_.pop_front()) {
      take(book_.settle(open_.front().hold, load_.cost, now));
    }
    if (now >= next_request_) {
      next_request_ = now + load_.every;
      asking_ = ++last_ticket_;
      take(book_.request(asking_, load_.hold, now + seconds(2), now));
    }
    asking_ = 0;
    if (++steps_ % 5 == 0) take(book_.tick(now));
    if (expires_) least_left = std::min(least_left, *expires_ - now);
  }

  void take(LeaseBook::Actions actions) {
    if (actions.acquire) acquire_ = *actions.acquire;
    if (actions.give_back) give_back_ = *actions.give_back;
    for (LeaseTree::Granted& granted : actions.granted) {
      ++served;
      waited += granted.ticket == asking_ ? 0 : 1;
      open_.push_back({std::move(granted.hold), now + load_.life});
    }
    refused += static_cast<int>(actions.refused.size());
  }

  void answer() {
    if (const auto what = std::exchange(give_back_, std::nullopt)) {
      ++calls;
      available += what->amount;
      lease_amount_ -= what->amount;
      take(book_.on_returned(now));
    }
    const auto what = std::exchange(acquire_, std::nullopt);
    if (!what) return;
    ++calls;
    if (available < what->least) {
      take(book_.on_refused(Error(Code::kResourceExhausted, "insufficient_balance", ""), now));
      return;
    }
    const Money share = Money::from_pico(available.pico() / 2);  // billing's own limit
    const Money granted = std::min(what->want, std::max(what->least, share));
    available -= granted;
    lease_amount_ += granted;
    expires_ = now + lease_life;
    take(book_.on_granted({.lease = lease_,
                           .granted = granted,
                           .lease_amount = lease_amount_,
                           .wallet_available = available,
                           .expires = *expires_,
                           .renew_from = now + lease_life / 2},
                          now));
  }

  const Load load_;
  LeaseBook book_;
  const LeaseId lease_{tidegate::test::SequentialIds::make(1)};
  Money lease_amount_;
  std::optional<Mono> expires_;
  std::optional<LeaseBook::Acquire> acquire_;
  std::optional<LeaseBook::Return> give_back_;
  std::deque<Open> open_;
  Mono next_request_ = {};
  LeaseBook::Ticket last_ticket_ = 0;
  LeaseBook::Ticket asking_ = 0;
  int steps_ = 0;
};

constexpr Duration kHorizon = seconds(75);

/// A minute of the load, then a minute in which billing says nothing; true when nobody noticed.
bool survives_a_frozen_minute(Shop& shop) {
  shop.run(seconds(60));
  const int waited = shop.waited;
  const int refused = shop.refused;
  shop.is_frozen = true;
  shop.run(seconds(60));
  return shop.waited == waited && shop.refused == refused;
}

TEST(LeaseHorizon, ASteadyLoadIsServedThroughAFrozenMinute) {
  Shop shop(kHorizon, money("10000"), {.hold = money("1"), .cost = money("0.1")});
  EXPECT_TRUE(survives_a_frozen_minute(shop)) << shop.waited << " waited, " << shop.refused << " refused";
  EXPECT_GT(shop.served, 2300);
}

TEST(LeaseHorizon, WhatWouldNotLastIsSaid) {
  const Shop::Load load{.hold = money("1"), .cost = money("1")};
  Shop large(kHorizon, money("20000"), load);
  large.run(seconds(60));
  EXPECT_FALSE(large.book().is_short(large.now));
  Shop small(kHorizon, money("3000"), load);
  small.run(seconds(60));
  EXPECT_TRUE(small.book().is_short(small.now)) << "an eighth of 1800 is less than 75 times 20";
}

TEST(LeaseHorizon, SoIsOneThatHoldsNoMoreThanItSpends) {
  Shop shop(kHorizon, money("20000"), {.hold = money("1"), .cost = money("1")});
  EXPECT_TRUE(survives_a_frozen_minute(shop)) << shop.waited << " waited, " << shop.refused << " refused";
}

TEST(LeaseHorizon, SoIsOneWhoseAnswersTakeAMinuteThemselves) {
  Shop shop(kHorizon, money("20000"),
            {.every = milliseconds(500), .hold = money("1"), .cost = money("0.5"), .life = seconds(60)});
  shop.run(seconds(60));
  EXPECT_TRUE(survives_a_frozen_minute(shop)) << shop.waited << " waited, " << shop.refused << " refused";
}

TEST(LeaseHorizon, SoIsWhoAsksThreeTimesAMinute) {
  Shop shop(kHorizon, money("100"), {.every = seconds(20), .hold = money("1"), .cost = money("0.1")});
  shop.run(seconds(120));
  EXPECT_TRUE(survives_a_frozen_minute(shop)) << shop.waited << " waited, " << shop.refused << " refused";
}

TEST(LeaseHorizon, SoIsALoadThatBeganFiveSecondsBefore) {
  Shop shop(kHorizon, money("10000"), {.hold = money("0.2"), .cost = money("0.1")});
  shop.run(seconds(5));
  shop.is_frozen = true;
  const int waited = shop.waited;
  shop.run(seconds(45));
  EXPECT_EQ(shop.refused, 0);
  EXPECT_EQ(shop.waited, waited);
}

TEST(LeaseHorizon, WithoutItTheLeaseRunsDry) {
  Shop shop(Duration::zero(), money("10000"), {.hold = money("1"), .cost = money("0.1")});
  EXPECT_FALSE(survives_a_frozen_minute(shop)) << "or the tests above prove nothing";
}

TEST(LeaseHorizon, AfterwardsItGoesOnByItself) {
  Shop shop(kHorizon, money("20000"), {.hold = money("1"), .cost = money("1")});
  shop.run(seconds(60));
  shop.is_frozen = true;
  shop.run(seconds(115));
  EXPECT_GT(shop.refused, 0) << "longer than it can last";
  shop.is_frozen = false;
  shop.run(seconds(1));
  const int refused = shop.refused;
  const int waited = shop.waited;
  shop.run(seconds(10));
  EXPECT_EQ(shop.refused, refused);
  EXPECT_EQ(shop.waited, waited);
}

TEST(LeaseHorizon, WhatIsLeftOfTheLeaseAlwaysCoversIt) {
  Shop shop(kHorizon, money("1000000"), {.every = seconds(10), .hold = money("1"), .cost = money("0.000001")});
  shop.run(seconds(600));
  EXPECT_GE(shop.least_left, kHorizon - seconds(1));
}

TEST(LeaseHorizon, ALeaseTooShortForItIsRenewedEarlyButNotAllTheTime) {
  Shop shop(kHorizon, money("1000000"), {.every = seconds(10), .hold = money("1"), .cost = money("0.000001")});
  shop.lease_life = seconds(60);
  shop.run(seconds(600));
  EXPECT_GE(shop.least_left, seconds(44));
  EXPECT_LE(shop.calls, 200);
}

TEST(LeaseHorizon, OfASmallWalletItKeepsNoMoreThanAPart) {
  Shop shop(kHorizon, money("100"), {.every = seconds(1), .hold = money("1"), .cost = money("1")});
  shop.run(seconds(10));
  // 4 for a moment's load, an eighth of 100, and a quarter of that, so that not every request asks for more.
  EXPECT_LE(shop.book().free(), money("4") + money("12.5") + money("3.125"));
  EXPECT_GT(shop.book().free(), money("4")) << "75 would be the wish";
  EXPECT_FALSE(shop.book().is_tail());
  EXPECT_GE(shop.available, money("60")) << "for other gateways";
}

TEST(LeaseHorizon, TheLastOfAWalletIsNotKeptForIt) {
  Shop shop(kHorizon, money("20"), {.every = seconds(1), .hold = money("1"), .cost = money("1")});
  shop.run(seconds(40));
  EXPECT_TRUE(shop.book().is_tail());
  EXPECT_EQ(shop.served, 20) << "to the last request";
  EXPECT_TRUE(shop.book().free().is_zero());
}

TEST(LeaseHorizon, WhenOthersEmptyTheWalletWhatIsKeptGoesBackWithinSeconds) {
  Shop shop(kHorizon, money("1000"), {.every = milliseconds(500), .hold = money("1"), .cost = money("1")});
  shop.run(seconds(30));
  ASSERT_GT(shop.book().free(), money("60"));
  shop.available = money("20");
  shop.run(seconds(8));
  EXPECT_LE(shop.book().free(), money("25"));
}

TEST(LeaseHorizon, MoneyThatNobodyAsksForGoesBack) {
  Shop shop(kHorizon, money("1000"), {.hold = money("1"), .cost = money("0.1")});
  shop.run(seconds(30));
  const Money spent = money("0.1").times(shop.served);
  shop.ask_no_more();
  shop.run(seconds(100));
  EXPECT_TRUE(shop.book().free().is_zero());
  EXPECT_EQ(shop.available, money("1000") - spent);
}

TEST(LeaseHorizon, ItSavesCalls) {
  const Shop::Load load{.hold = money("1"), .cost = money("1")};
  Shop with(kHorizon, money("100000"), load);
  with.run(seconds(120));
  Shop without(Duration::zero(), money("100000"), load);
  without.run(seconds(120));
  EXPECT_LT(2 * with.calls, without.calls);
}

}  // namespace
}  // namespace tidegate::gateway::lease_horizon_test
