#include "billing/core/posting.h"

#include <gtest/gtest.h>

#include "tests/unit/billing/events.h"

namespace tidegate::billing {
namespace {

BatchEffects effects(const std::vector<UsageEvent>& events) {
  const auto book = price::PriceBook::build({price::tide()}, {}).value();
  std::vector<RatedEvent> rated;
  for (const auto& event : events) rated.push_back({&event, rate_event(book, event, "USD", 0).value(), "USD"});
  return effects_of(rated);
}

TEST(Posting, EveryTransactionBalances) {
  const Money amount = Money::parse("12.000000000001").value();
  EXPECT_TRUE(is_balanced(top_up_entries(amount)));
  EXPECT_TRUE(is_balanced(usage_entries(amount)));
  EXPECT_TRUE(usage_entries(Money()).empty());
  EXPECT_FALSE(is_balanced({{AccountKind::kCash, amount}}));
}

TEST(Posting, ATopUpRaisesAndUsageLowersWhatWeOwe) {
  const Money amount = Money::parse("1").value();
  EXPECT_EQ(top_up_entries(amount)[1].account, AccountKind::kPrepaid);
  EXPECT_EQ(top_up_entries(amount)[1].amount, -amount);
  EXPECT_EQ(usage_entries(amount)[0].account, AccountKind::kPrepaid);
  EXPECT_EQ(usage_entries(amount)[0].amount, amount);
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

TEST(Posting, HoursSplitByMeterAndLeaveOutZeroes) {
  UsageEvent first = make_event(1), next_hour = make_event(2);
  next_hour.instants = price::Instants::all_at(price::at("2026-11-21T09:00:00Z"));
  next_hour.cached_tokens = 0;
  next_hour.prompt_tokens = 20;
  next_hour.amount = Money::from_pico(20 * 200 + 30 * 400);
  const auto out = effects({first, next_hour});
  EXPECT_EQ(out.hours.size(), 5u);
  Money sum;
  for (const auto& [key, cell] : out.hours) sum += cell.amount;
  EXPECT_EQ(sum, first.amount + next_hour.amount);
}

TEST(Posting, AFreeBatchPostsNothing) {
  UsageEvent event = make_event(1);
  event.prompt_tokens = event.cached_tokens = event.completion_tokens = event.reasoning_tokens = 0;
  event.amount = Money();
  const auto out = effects({event});
  EXPECT_TRUE(out.wallets.at(event.wallet).entries.empty());
  EXPECT_TRUE(out.leases.empty());
  EXPECT_TRUE(out.hours.empty());
}

}  // namespace
}  // namespace tidegate::billing
