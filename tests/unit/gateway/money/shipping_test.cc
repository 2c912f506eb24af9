#include <gtest/gtest.h>

#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::FakeBilling;
using test::money;
using Call = FakeBilling::Call;

struct ShippingTest : test::MoneyWorld {
  void finish_one(std::int64_t completion = 1) {
    auto charge = admit(request());
    ASSERT_TRUE(charge) << charge.error().to_string();
    ASSERT_TRUE(settle(**charge, report(1, completion)));
  }
  double backlog() const { return metric("tidegate_gateway_shipper_backlog_events"); }
};

TEST_F(ShippingTest, AnOutageOfBillingLosesNothingAndKeepsTheOrder) {
  begin_and_wait();
  finish_one();
  billing.fail_next(Call::kSubmit, Error(Code::kUnavailable, "rpc_unavailable", ""), false, 3);
  for (int i = 0; i < 20; ++i) finish_one();
  ASSERT_TRUE(eventually([&] { return billing.events().size() == 21; }));
  std::uint64_t sequence = 1;
  for (const auto& event : billing.events()) EXPECT_EQ(event.sequence(), sequence++) << "requests were numbered in order";
  EXPECT_TRUE(log.has("usage_not_shipped"));
  EXPECT_TRUE(eventually([&] { return log.has("usage_shipping_again"); }));
}

TEST_F(ShippingTest, ALostAcknowledgementBillsOnce) {
  begin_and_wait();
  billing.fail_next(Call::kSubmit, Error(Code::kDeadlineExceeded, "rpc_deadline_exceeded", ""), /*is_done=*/true, 2);
  for (int i = 0; i < 5; ++i) finish_one(10);
  EXPECT_TRUE(drain());
  EXPECT_EQ(billing.events().size(), 5u);
  EXPECT_EQ(billing.wallet(wallet).spent, money("0.000055"));
}

TEST_F(ShippingTest, ARefusedBatchIsKeptAndOfferedAgain) {
  begin_and_wait();
  billing.fail_next(Call::kSubmit, Error(Code::kInvalidArgument, "rating_differs", ""), false, 2);
  finish_one();
  EXPECT_TRUE(eventually([&] { return billing.events().size() == 1; }));
  EXPECT_TRUE(log.has("usage_refused"));
  EXPECT_GE(metric("tidegate_gateway_shipper_refused_total"), 1);
}

TEST_F(ShippingTest, ManyMoreThanABatchAreShippedWhenBillingReturns) {
  begin_and_wait();
  finish_one();
  ASSERT_TRUE(eventually([&] { return billing.events().size() == 1; }));
  billing.top_up(wallet, money("1000"));
  // A lease for everything, taken before the outage.
  auto big = admit(request(2'000'000, 2'000'000));
  ASSERT_TRUE(big);
  ASSERT_TRUE(settle(**big, report(1, 1)));
  big->reset();
  ASSERT_TRUE(eventually([&] { return billing.events().size() == 2; }));
  billing.set_down(true);
  std::atomic<int> done = 0;
  for (std::size_t lane : {1, 2}) {
    auto work = [&, lane]() -> awaitable<void> {
      for (int i = 0; i < 600; ++i) {
        AdmissionRequest mine = request(10, 10);
        mine.request = test::request_id(10'000 * lane + static_cast<std::uint64_t>(i));
        auto charge = co_await treasury->meter().admit(std::move(mine));
        if (!charge) co_return;
        const auto settled = co_await (*charge)->settle(report(1, 1));
        if (settled) ++done;
      }
    };
    threads.run_on(lane, work);
  }
  EXPECT_EQ(done, 1200);
  EXPECT_EQ(billing.events().size(), 2u);
  ASSERT_TRUE(eventually([&] { return backlog() >= 1200; }));
  billing.set_down(false);
  EXPECT_TRUE(eventually([&] { return billing.events().size() == 1202; }));
  EXPECT_TRUE(eventually([&] { return backlog() == 0; }));
}

TEST_F(ShippingTest, AFullJournalStopsAdmissionsUntilBillingTakesTheUsage) {
  config.journal.segment_bytes_max = 2'000;
  config.journal.quota_bytes = 10'000;
  begin_and_wait();
  finish_one();
  billing.fail_next(Call::kSubmit, Error(Code::kUnavailable, "rpc_unavailable", ""), false, 1'000'000);
  Result<std::unique_ptr<Charge>> charge;
  do {
    charge = admit(request());
    if (charge) {
      ASSERT_TRUE(settle(**charge, report(1, 1)));
    }
  } while (charge);
  EXPECT_EQ(charge.error().reason, "journal_full");
  EXPECT_EQ(charge.error().code, Code::kUnavailable);
  EXPECT_EQ(treasury->ready().error().reason, "journal_full");
  billing.fail_next(Call::kSubmit, Error(), false, 0);
  EXPECT_TRUE(eventually([&] { return treasury->ready().has_value(); }));
  EXPECT_TRUE(admit(request()));
}

TEST_F(ShippingTest, AcknowledgedSegmentsAreRemoved) {
  config.journal.segment_bytes_max = 2'000;
  begin_and_wait();
  for (int i = 0; i < 60; ++i) finish_one();
  EXPECT_TRUE(eventually([&] { return metric("tidegate_gateway_journal_segments_count") <= 1 && billing.events().size() == 60; }));
}

}  // namespace
}  // namespace tidegate::gateway
