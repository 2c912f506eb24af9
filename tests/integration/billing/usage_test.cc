#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

class Usage : public House {
 protected:
  Usage() : customer_(make_customer("acme", "10")), epoch_(open_epoch()) {
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "1")).value();
  }
  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
};

TEST_F(Usage, ABatchIsStoredRatedPostedAndRolledUp) {
  const auto ack = submit(make_batch(epoch_, {make_event(customer_, lease_, 1), make_event(customer_, lease_, 2)}));
  ASSERT_TRUE(ack) << ack.error().to_string();
  EXPECT_EQ(ack->applied_through(), 2u);
  // Peak: 40 x 2 + 60 x 4 + 50 x 8 micro = 720 pico-millionths each.
  EXPECT_EQ(query("SELECT sum(amount) FROM rated_lines"), "0.001440000000");
  EXPECT_EQ(query("SELECT count(*) FROM rated_lines"), "6");
  EXPECT_EQ(query("SELECT sum(amount) FROM usage_hourly"), "0.001440000000");
  EXPECT_EQ(query("SELECT count(*) FROM ledger_tx WHERE source_type = 'usage_batch'"), "1");
  EXPECT_EQ(wallet_of(customer_).balance(), "9.99856");
  EXPECT_EQ(wallet_of(customer_).leased(), "0.99856");
  EXPECT_EQ(wallet_of(customer_).available(), "9");
  EXPECT_NE(query("SELECT DISTINCT tzdata FROM rated_lines"), "unknown");
  expect_reconciled();
  EXPECT_EQ(reconcile_now().events(), 2);
}

TEST_F(Usage, ABatchDeliveredThreeTimesIsBilledOnce) {
  const auto batch = make_batch(epoch_, {make_event(customer_, lease_, 1), make_event(customer_, lease_, 2)});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(submit(batch)->applied_through(), 2u);
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "2");
  EXPECT_EQ(wallet_of(customer_).balance(), "9.99856");
  expect_reconciled();
}

TEST_F(Usage, AnOverlappingBatchAddsItsNewPartOnly) {
  const auto first = make_event(customer_, lease_, 1), second = make_event(customer_, lease_, 2),
             third = make_event(customer_, lease_, 3);
  ASSERT_TRUE(submit(make_batch(epoch_, {first, second})));
  EXPECT_EQ(submit(make_batch(epoch_, {second, third}))->applied_through(), 3u);
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "3");
  expect_reconciled();
}

TEST_F(Usage, TheSameEventInALaterEpochIsBilledOnce) {
  auto event = make_event(customer_, lease_, 1);
  ASSERT_TRUE(submit(make_batch(epoch_, {event})));
  const std::uint64_t next = open_epoch();
  const auto other = accounts(&AccountsApi::AcquireLease, lease_request(customer_, next, "1")).value();
  event.set_sequence(1);
  EXPECT_EQ(submit(make_batch(next, {event, make_event(customer_, other, 2)}))->applied_through(), 2u);
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "2");
  expect_reconciled();
}

TEST_F(Usage, TheSameRequestWithAnotherContentIsRefused) {
  auto event = make_event(customer_, lease_, 1);
  ASSERT_TRUE(submit(make_batch(epoch_, {event})));
  event.set_completion_tokens(51);
  rate(event);
  event.set_sequence(2);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "contradictory_event");
  event.set_sequence(1);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "contradictory_event");
  EXPECT_EQ(submit(make_batch(epoch_, {make_event(customer_, lease_, 1)})).error().reason, "contradictory_event");
  expect_reconciled();
}

TEST_F(Usage, AGapIsRefusedAndNothingIsApplied) {
  const auto ack = submit(make_batch(epoch_, {make_event(customer_, lease_, 2)}));
  EXPECT_EQ(ack.error().code, Code::kFailedPrecondition);
  EXPECT_EQ(ack.error().reason, "sequence_gap");
  EXPECT_EQ(submit(make_batch(epoch_, {make_event(customer_, lease_, 1), make_event(customer_, lease_, 3)})).error().reason,
            "bad_batch");
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "0");
}

TEST_F(Usage, ADifferentRatingIsRefusedWhole) {
  auto wrong = make_event(customer_, lease_, 2);
  wrong.set_amount("0.000720000001");
  const auto ack = submit(make_batch(epoch_, {make_event(customer_, lease_, 1), wrong}));
  EXPECT_EQ(ack.error().reason, "rating_differs");
  EXPECT_EQ(ack.error().field, "events[1].amount");
  wrong = make_event(customer_, lease_, 2);
  wrong.set_band("offpeak");
  EXPECT_EQ(submit(make_batch(epoch_, {make_event(customer_, lease_, 1), wrong})).error().reason, "rating_differs");
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "0");
  EXPECT_EQ(wallet_of(customer_).balance(), "10");
  EXPECT_TRUE(log_.has("usage_refused"));
}

TEST_F(Usage, PricesOfOthersAreRefused) {
  auto event = make_event(customer_, lease_, 1);
  event.set_price_version(999);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "unknown_price");
  event = make_event(customer_, lease_, 1);
  event.set_model("n");
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "price_mismatch");
  event = make_event(customer_, lease_, 1);
  rate(event, "CNY");
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "price_mismatch");
  event = make_event(customer_, lease_, 1);
  for (auto set : {&v1::UsageEvent::set_admitted_us, &v1::UsageEvent::set_started_us, &v1::UsageEvent::set_completed_us}) {
    (event.*set)(1'000'000);  // 1970
  }
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "price_not_in_force");
}

TEST_F(Usage, StrangersAndForeignLeasesAreRefused) {
  const Customer other = make_customer("other", "5");
  auto event = make_event(customer_, lease_, 1);
  event.set_wallet_id(other.wallet_raw());
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "unknown_principal");
  const auto foreign = accounts(&AccountsApi::AcquireLease, lease_request(other, epoch_, "1")).value();
  event = make_event(customer_, foreign, 1);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "unknown_lease");
  event = make_event(customer_, lease_, 1);
  event.clear_lease_id();
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().reason, "bad_event");
  EXPECT_EQ(submit(make_batch(77, {make_event(customer_, lease_, 1)})).error().reason, "unknown_epoch");
}

TEST_F(Usage, MoreThanTheLeaseHoldsIsRefused) {
  const auto ack = submit(make_batch(epoch_, {make_event(customer_, lease_, 1, 0, 0, 200'000)}));  // 1.6 of 1
  EXPECT_EQ(ack.error().reason, "lease_overdrawn");
  EXPECT_EQ(wallet_of(customer_).balance(), "10");
}

TEST_F(Usage, ContradictoryCountsAreRefusedByName) {
  auto event = make_event(customer_, lease_, 1);
  event.set_cached_tokens(101);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().field, "events[0].cached_tokens");
  event = make_event(customer_, lease_, 1);
  event.set_reasoning_tokens(51);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().field, "events[0].reasoning_tokens");
  event = make_event(customer_, lease_, 1);
  event.set_worker_id(std::string("w\0", 2));
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().field, "events[0].worker_id");
  event = make_event(customer_, lease_, 1);
  event.set_started_us(event.admitted_us() - 1);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().field, "events[0].completed_us");
}

TEST_F(Usage, AFreeRequestIsKeptWithoutAPosting) {
  auto event = make_event(customer_, lease_, 1, 0, 0, 0);
  event.set_status(v1::USAGE_STATUS_FAILED);
  event.clear_lease_id();
  ASSERT_TRUE(submit(make_batch(epoch_, {event})));
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "1");
  EXPECT_EQ(query("SELECT count(*) FROM ledger_tx WHERE source_type = 'usage_batch'"), "0");
  expect_reconciled();
}

TEST_F(Usage, SeveralWalletsAndCurrenciesInOneBatchEachGetTheirOwnPosting) {
  const Customer yuan = make_customer("yuan", "100", "CNY");
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(yuan, epoch_, "10")).value();
  ASSERT_TRUE(submit(make_batch(epoch_, {make_event(customer_, lease_, 1), make_event(yuan, lease, 2),
                                         make_event(customer_, lease_, 3)})));
  EXPECT_EQ(query("SELECT count(*) FROM ledger_tx WHERE source_type = 'usage_batch'"), "2");
  EXPECT_EQ(wallet_of(yuan).balance(), "99.99496");  // 40 x 14 + 60 x 28 + 50 x 56 micro
  expect_reconciled();
}

TEST_F(Usage, ThousandEventsAreOneTransaction) {
  std::vector<v1::UsageEvent> events;
  for (std::uint64_t i = 1; i <= 1000; ++i) events.push_back(make_event(customer_, lease_, i));
  const Mono started = clock_.mono();
  EXPECT_EQ(submit(make_batch(epoch_, std::move(events)))->applied_through(), 1000u);
  RecordProperty("batch_of_1000_ms",
                 static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(clock_.mono() - started).count()));
  EXPECT_EQ(query("SELECT count(DISTINCT xmin::text) FROM usage_log"), "1");
  expect_reconciled();
}

TEST_F(Usage, PeopleSeeWhatWasBilled) {
  const auto event = make_event(customer_, lease_, 1);
  ASSERT_TRUE(submit(make_batch(epoch_, {event, make_event(customer_, lease_, 2)})));
  v1::ListUsageRequest one;
  one.set_request_id(RequestId::from_bytes(event.request_id())->to_string());
  const auto rows = admin(&AdminApi::ListUsage, one);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->rows_size(), 1);
  const auto& row = rows->rows(0);
  EXPECT_EQ(row.event().SerializeAsString(), event.SerializeAsString()) << "what was reported comes back whole";
  EXPECT_EQ(row.tenant_name(), "acme");
  EXPECT_EQ(row.price_book(), "tide");
  ASSERT_EQ(row.lines_size(), 3);
  EXPECT_NE(row.ledger_tx(), "");

  v1::SumUsageRequest sum;
  sum.set_tenant("acme");
  const auto sums = admin(&AdminApi::SumUsage, sum);
  ASSERT_EQ(sums->sums_size(), 3);
  EXPECT_EQ(sums->sums(0).pool(), "cpu");
  EXPECT_EQ(sums->sums(0).quantity(), 80);

  v1::ListLedgerRequest ledger;
  ledger.set_tenant("acme");
  const auto book = admin(&AdminApi::ListLedger, ledger);
  ASSERT_EQ(book->transactions_size(), 2);
  EXPECT_EQ(book->transactions(0).source_type(), "usage_batch");
  ASSERT_EQ(book->transactions(0).entries_size(), 2);
  EXPECT_EQ(book->transactions(0).entries(0).account(), "prepaid");
  EXPECT_EQ(book->transactions(0).entries(0).amount(), "0.00144");
  ledger.mutable_page()->set_limit(1);
  ledger.mutable_page()->set_after(book->transactions(0).tx_id());
  EXPECT_EQ(admin(&AdminApi::ListLedger, ledger)->transactions(0).source_type(), "top_up");
}

}  // namespace
}  // namespace tidegate::billing
