#include "billing/core/posting.h"

#include <gtest/gtest.h>

#include "tests/unit/billing/events.h"

namespace tidegate::billing {
namespace {

BatchEffects effects(const std::vector<UsageEvent>& events) {
  const auto book = price::PriceBook::build({price::tide()}, {}).value();
  std::vector<RatedEvent> rated;
  for (const auto& event : events)
    rated.push_back({&event, rate_event(book, event, "USD", 0).value(), "USD"});
  return effects_of(rated);
}

WalletPosting charge_of(Money total) {
  WalletPosting posting;
  posting.total = total;
  return posting;
}

std::map<AccountKind, Int128> pico_by_account(const std::vector<Entry>& entries) {
  std::map<AccountKind, Int128> out;
  for (const auto& entry : entries) out[entry.account] += entry.amount.pico();
  return out;
}

TEST(Posting, EveryTransactionBalances) {
  const Money amount = Money::parse("12.000000000001").value();
  EXPECT_TRUE(is_balanced(top_up_entries(amount)));
  EXPECT_TRUE(is_balanced(usage_entries(charge_of(amount))));
  EXPECT_TRUE(usage_entries(charge_of(Money())).empty());
  EXPECT_FALSE(is_balanced({{AccountKind::kCash, amount}}));
}

TEST(Posting, ATopUpRaisesAndUsageLowersWhatWeOwe) {
  const Money amount = Money::parse("1").value();
  EXPECT_EQ(top_up_entries(amount)[1].account, AccountKind::kPrepaid);
  EXPECT_EQ(top_up_entries(amount)[1].amount, -amount);
  EXPECT_EQ(usage_entries(charge_of(amount))[0].account, AccountKind::kPrepaid);
  EXPECT_EQ(usage_entries(charge_of(amount))[0].amount, amount);
}

TEST(Posting, ADiscountIsBookedBesideTheRevenueItTakesBack) {
  WalletPosting posting = charge_of(Money::from_pico(100));
  posting.extra.push_back({{}, {}, "discount", 0, Money::from_pico(-30), ""});
  EXPECT_EQ(posting.charge().pico(), 70);
  EXPECT_EQ(pico_by_account(usage_entries(posting)),
            (std::map<AccountKind, Int128>{{AccountKind::kPrepaid, 70}, {AccountKind::kRevenue, -70}}));
  EXPECT_EQ(usage_entries(posting).size(), 3u);
}

TEST(Posting, AUsageThatIsFreeInTheEndStillHasATransaction) {
  WalletPosting posting = charge_of(Money::from_pico(100));
  posting.extra.push_back({{}, {}, "free_quota", 0, Money::from_pico(-100), ""});
  const auto entries = usage_entries(posting);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_TRUE(is_balanced(entries));
  EXPECT_EQ(entries[0].account, AccountKind::kRevenue);
}

TEST(Posting, GrantsPayBeforePaidInMoney) {
  WalletPosting posting = charge_of(Money::from_pico(100));
  posting.grants = {{test::SequentialIds::make(1), Money::from_pico(60)},
                    {test::SequentialIds::make(2), Money::from_pico(40)}};
  const auto entries = usage_entries(posting);
  ASSERT_EQ(entries.size(), 3u) << "nothing is left for paid-in money";
  EXPECT_EQ(entries[0].account, AccountKind::kGrant);
  EXPECT_EQ(entries[1].grant, test::SequentialIds::make(2));
  EXPECT_TRUE(is_balanced(entries));
}

TEST(Posting, ABatchIsOneTransactionPerWallet) {
  UsageEvent first = make_event(1), second = make_event(2), other = make_event(3);
  second.instants = price::Instants::all_at(price::at("2026-11-21T09:30:00Z"));
  other.wallet = WalletId{test::SequentialIds::make(9)};
  other.lease = LeaseId{test::SequentialIds::make(10)};
  const auto out = effects({first, second, other});
  ASSERT_EQ(out.wallets.size(), 2u);
  const auto& posting = out.wallets.at(first.wallet);
  EXPECT_EQ(posting.total.pico(), 34'000);
  EXPECT_EQ(posting.effective_at, second.instants.completed);
  EXPECT_EQ(out.leases.at(first.lease).pico(), 34'000);
  EXPECT_EQ(out.leases.at(other.lease).pico(), 17'000);
}

TEST(Posting, HoursSplitByHourAndMeter) {
  UsageEvent first = make_event(1), next_hour = make_event(2);
  next_hour.instants = price::Instants::all_at(price::at("2026-11-21T09:00:00Z"));
  next_hour.cached_tokens = 0;
  next_hour.prompt_tokens = 20;
  next_hour.amount = Money::from_pico(20 * 200 + 30 * 400);
  const auto out = effects({first, next_hour});
  ASSERT_EQ(out.hours.size(), 2u);
  Money sum;
  for (const auto& [key, cell] : out.hours) {
    for (const Money amount : cell.amount) sum += amount;
  }
  EXPECT_EQ(sum, first.amount + next_hour.amount);
  EXPECT_EQ(out.hours.rbegin()->second.quantity[0], 0);
  EXPECT_EQ(out.hours.rbegin()->second.quantity[1], 20);
}

TEST(Posting, AFreeBatchPostsNothing) {
  UsageEvent event = make_event(1);
  event.prompt_tokens = event.cached_tokens = event.completion_tokens = event.reasoning_tokens = 0;
  event.amount = Money();
  const auto out = effects({event});
  EXPECT_TRUE(usage_entries(out.wallets.at(event.wallet)).empty());
  EXPECT_TRUE(out.leases.empty());
  EXPECT_TRUE(out.hours.empty());
}

}  // namespace
}  // namespace tidegate::billing
