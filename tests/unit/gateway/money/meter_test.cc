#include "gateway/money/meter.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>

#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::flat_price;
using test::money;

struct MeterTest : test::MoneyWorld {
  void SetUp() override { begin_and_wait(); }
};

TEST_F(MeterTest, ARequestIsHeldSettledJournalledAndBilledToThePico) {
  auto charge = admit(request(1000, 1000));
  ASSERT_TRUE(charge) << charge.error().to_string();
  EXPECT_EQ((*charge)->band(), "flat");
  EXPECT_FALSE((*charge)->price_until()) << "nothing is known to change it";
  EXPECT_EQ(treasury->leases().held(), money("0.002"));
  (*charge)->on_accepted({.prompt = 12, .cached = 2, .completion = 0, .reasoning = 0}, "worker-1");
  EXPECT_EQ(treasury->leases().held(), money("0.001012"));
  FinalReport final = report(12, 34);
  final.usage.cached = 2;
  final.usage.reasoning = 30;
  const auto settlement = settle(**charge, final);
  ASSERT_TRUE(settlement) << settlement.error().to_string();
  EXPECT_EQ(settlement->amount, money("0.0000442"));  // 2 x 0.1 + 10 x 1 + 34 x 1 millionths
  EXPECT_EQ(settlement->currency, "USD");
  EXPECT_EQ(settlement->band, "flat");
  EXPECT_EQ(settlement->price_version, "test-book/1");
  EXPECT_TRUE(treasury->leases().held().is_zero());
  charge->reset();
  ASSERT_TRUE(drain());
  ASSERT_EQ(billing.events().size(), 1u);
  const v1::UsageEvent event = billing.events().front();
  EXPECT_EQ(event.status(), v1::USAGE_STATUS_COMPLETED);
  EXPECT_EQ(event.sequence(), 1u);
  EXPECT_EQ(event.prompt_tokens(), 12);
  EXPECT_EQ(event.cached_tokens(), 2);
  EXPECT_EQ(event.completion_tokens(), 34);
  EXPECT_EQ(event.reasoning_tokens(), 30);
  EXPECT_EQ(event.worker_id(), "worker-1");
  EXPECT_EQ(event.surface(), "http.chat");
  EXPECT_EQ(billing.wallet(wallet).balance, money("100") - money("0.0000442"));
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(MeterTest, NoRoundTripWhileTheLeaseHasRoom) {
  for (int i = 0; i < 3; ++i) {
    auto charge = admit(request());
    ASSERT_TRUE(charge);
    ASSERT_TRUE(settle(**charge, report(10, 10)));
  }
  const int calls = billing.calls(test::FakeBilling::Call::kAcquire);
  EXPECT_EQ(calls, 1);
}

TEST_F(MeterTest, AModelWithoutAPriceIsNotAdmissible) {
  AdmissionRequest unknown = request();
  unknown.model = "no-such-model";
  EXPECT_EQ(admit(unknown).error().reason, "price_missing");
  EXPECT_FALSE(treasury->meter().quote(*unknown.principal, "no-such-model"));
}

TEST_F(MeterTest, APriceThatEndsBeforeTheDeadlineIsAMissingPrice) {
  v1::PriceVersion ending = flat_price(9);
  ending.set_model("ending");
  ending.set_effective_to_us(unix_micros(clock.wall()) + 30'000'000);
  billing.add_price(ending);
  ASSERT_TRUE(eventually([&] { return metric("tidegate_gateway_price_versions_count") == 2; }));
  AdmissionRequest late = request();
  late.model = "ending";
  EXPECT_EQ(admit(late).error().reason, "price_missing");
  AdmissionRequest short_one = request();
  short_one.model = "ending";
  short_one.budget = std::chrono::seconds(5);
  auto charge = admit(short_one);
  ASSERT_TRUE(charge);
  ASSERT_TRUE((*charge)->price_until()) << "what a header tells the client";
  EXPECT_EQ(unix_micros(*(*charge)->price_until()), ending.effective_to_us());
  ASSERT_TRUE(settle(**charge, report(1, 1)));
}

TEST_F(MeterTest, QuotePrintsRatesPerMillion) {
  const auto principal = treasury->principals().authenticate(key_text, {});
  const auto quote = treasury->meter().quote(**principal, "tang-moe");
  ASSERT_TRUE(quote);
  EXPECT_EQ(quote->prompt_hit, "0.1");
  EXPECT_EQ(quote->prompt_miss, "1");
  EXPECT_EQ(quote->output, "1");
  EXPECT_EQ(quote->currency, "USD");
  EXPECT_EQ(quote->until_us, 0);
}

TEST_F(MeterTest, PoolsCostTheSameWhenOneEntryOfThePriceBookCoversBoth) {
  v1::PriceVersion dearer = flat_price(9, 3'000'000);
  dearer.set_region("us");
  billing.add_price(dearer);
  ASSERT_TRUE(eventually([&] { return metric("tidegate_gateway_price_versions_count") == 2; }));
  const auto principal = treasury->principals().authenticate(key_text, {});
  const Meter& meter = treasury->meter();
  EXPECT_TRUE(meter.has_same_price(**principal, "tang-moe", {"local", "cpu"}, {"eu", "h100"}));
  EXPECT_TRUE(meter.has_same_price(**principal, "tang-moe", {"us", "cpu"}, {"us", "h100"}));
  EXPECT_FALSE(meter.has_same_price(**principal, "tang-moe", {"local", "cpu"}, {"us", "cpu"}));
  EXPECT_FALSE(meter.has_same_price(**principal, "no-such-model", {"local", "cpu"}, {"eu", "cpu"}))
      << "no price is no common price";
}

TEST_F(MeterTest, UsageAboveTheHoldIsBilledAtTheHeldBound) {
  auto charge = admit(request(10, 10));
  ASSERT_TRUE(charge);
  const auto settlement = settle(**charge, report(1000, 1000));
  ASSERT_TRUE(settlement);
  EXPECT_EQ(settlement->amount, money("0.00002"));
  EXPECT_EQ(metric("tidegate_gateway_meter_overruns_total"), 1);
  EXPECT_TRUE(log.has("usage_above_hold"));
}

TEST_F(MeterTest, AnAnswerOfNoTokensCostsItsPromptAndHitsCostAsHits) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  (*charge)->on_accepted({.prompt = 10, .cached = 10, .completion = 0, .reasoning = 0}, "w");
  FinalReport final = report(10, 0);  // a zero that was counted, not one that is missing
  final.usage.cached = 10;
  const auto settlement = settle(**charge, final);
  ASSERT_TRUE(settlement) << settlement.error().to_string();
  EXPECT_EQ(settlement->amount, money("0.000001"));  // 10 x 0.1 millionths
  charge->reset();
  ASSERT_TRUE(drain());
  ASSERT_EQ(billing.events().size(), 1u);
  EXPECT_EQ(billing.events().front().completion_tokens(), 0);
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(MeterTest, FailedBeforeAnythingWasDeliveredCostsNothing) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  (*charge)->on_accepted({.prompt = 500, .cached = 0, .completion = 0, .reasoning = 0}, "w");
  EXPECT_TRUE(settle(**charge, report(500, 0, Outcome::kFailed))->amount.is_zero());
}

TEST_F(MeterTest, FailedAfterDeliveringChargesWhatWasDelivered) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  EXPECT_EQ(settle(**charge, report(5, 7, Outcome::kFailed))->amount, money("0.000012"));
}

TEST_F(MeterTest, AnAbandonedChargeIsSettledAsFailedAndNothingLeaks) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  const RequestId id = test::request_id(next_request - 1);
  (*charge)->on_accepted({.prompt = 5, .cached = 0, .completion = 0, .reasoning = 0}, "w");
  (*charge)->on_progress({.prompt = 5, .cached = 0, .completion = 3, .reasoning = 0});
  charge->reset();
  EXPECT_TRUE(eventually([&] { return treasury->leases().held().is_zero(); }));
  EXPECT_TRUE(eventually([&] { return billing.event(id).has_value(); }));
  EXPECT_EQ(billing.event(id)->status(), v1::USAGE_STATUS_FAILED);
  EXPECT_EQ(billing.event(id)->amount(), "0.000008");
  EXPECT_TRUE(log.has("charge_abandoned"));
}

TEST_F(MeterTest, ADrainWaitsUntilTheEndOfAnAbandonedChargeIsDurable) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  const RequestId id = test::request_id(next_request - 1);
  (*charge)->on_accepted({.prompt = 5, .cached = 0, .completion = 0, .reasoning = 0}, "w");
  (*charge)->on_progress({.prompt = 5, .cached = 0, .completion = 3, .reasoning = 0});
  disk.hold_syncs(true);
  charge->reset();
  const Deadline limit = Deadline::after(clock.mono(), std::chrono::seconds(10));
  std::future<bool> drained = asio::co_spawn(threads.executor(0), treasury->drain(limit), asio::use_future);
  auto behind_it = []() -> awaitable<bool> { co_return true; };
  EXPECT_TRUE(threads.run_on(0, std::move(behind_it))) << "the drain has begun, and waits";
  disk.hold_syncs(false);
  EXPECT_TRUE(drained.get());
  ASSERT_TRUE(billing.event(id));
  EXPECT_EQ(billing.event(id)->amount(), "0.000008");
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(MeterTest, ADearerPricePublishedMeanwhileNeverCostsMoreThanWasHeld) {
  auto charge = admit(request(10, 10));
  ASSERT_TRUE(charge);
  // The boundary lies an hour back: nearer than the clock's error, the cheaper side would be charged without repricing.
  v1::PriceVersion old = flat_price();
  const std::int64_t hour_ago = unix_micros(clock.wall() - std::chrono::hours(1));
  old.set_effective_to_us(hour_ago);
  v1::PriceVersion dear = flat_price(2, 5'000'000);
  dear.set_effective_from_us(hour_ago);
  billing.add_price(old);
  billing.add_price(dear);
  ASSERT_TRUE(eventually([&] {
    const auto quote = treasury->meter().quote(*request().principal, "tang-moe");
    return quote && quote->price_version == "test-book/2";
  }));
  const auto settlement = settle(**charge, report(10, 10));
  ASSERT_TRUE(settlement);
  EXPECT_EQ(settlement->amount, money("0.00002"));
  EXPECT_EQ(settlement->price_version, "test-book/1");
  EXPECT_EQ(metric("tidegate_gateway_meter_repriced_total"), 1);
}

/// Half off for the tenant's contract, whose long prompts cost twice and whose requests cost at least a thousandth.
TEST_F(MeterTest, ContractsTiersMinimumsAndModifiersAreQuotedHeldAndBilled) {
  const std::string tenant = TenantId::from_bytes(SequentialBytes(71))->to_string();
  v1::PriceVersion contract = flat_price(2, 2'000'000);
  contract.set_tenant(tenant);
  contract.set_minimum_charge("0.001");
  v1::PriceTier* tier = contract.mutable_schedules(0)->add_long_prompts();
  tier->set_over(1000);
  for (const auto& rate : contract.schedules(0).rates()) {
    v1::PriceRate* dearer = tier->add_rates();
    *dearer = rate;
    dearer->set_micro_per_million(2 * rate.micro_per_million());
  }
  v1::PriceModifier half;
  half.set_id(1);
  half.set_name("half");
  half.set_num(1);
  half.set_den(2);
  half.set_tenant(tenant);
  billing.add_price(contract);
  billing.add_modifier(half);
  ASSERT_TRUE(eventually([&] {
    const auto quote = treasury->meter().quote(*request().principal, "tang-moe");
    return quote && quote->price_version == "test-book/2" && quote->output == "1";
  }));
  const auto amount_of = [&](std::int64_t prompt, std::int64_t completion) {
    auto charge = admit(request(prompt, completion));
    return charge ? settle(**charge, report(prompt, completion))->amount : money("-1");
  };
  EXPECT_EQ(amount_of(1000, 1000), money("0.002"));   // 2 a million, halved
  EXPECT_EQ(amount_of(1001, 999), money("0.004"));    // the long tier: 4 a million, halved
  EXPECT_EQ(amount_of(10, 10), money("0.001"));       // 0.00002, and the minimum
  EXPECT_EQ(metric("tidegate_gateway_meter_overruns_total"), 0);
}

TEST_F(MeterTest, FailedJournalClosesTheDoorAndTellsTheProcess) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  disk.fail_after_bytes(0);
  EXPECT_EQ(settle(**charge, report(1, 1)).error().reason, "journal_failed");
  EXPECT_TRUE(eventually([&] { return failures == 1; }));
  EXPECT_EQ(treasury->ready().error().reason, "journal_failed");
  EXPECT_EQ(admit(request()).error().reason, "journal_failed");
  charge->reset();
}

TEST_F(MeterTest, DrainingRefusesNewRequestsAndWaitsForOpenOnes) {
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  const auto kept = treasury;
  std::jthread drainer([&] { EXPECT_TRUE(drain()); });
  AdmissionRequest late = request();
  EXPECT_TRUE(eventually([&] {
    late.request = test::request_id(next_request++);  // the drain may begin only after some were admitted
    auto work = [&]() -> awaitable<Result<std::unique_ptr<Charge>>> { return kept->meter().admit(late); };
    auto answer = threads.run_on(1, work);
    return !answer && answer.error().reason == "draining";
  }));
  auto finish = [&]() -> awaitable<Result<Settlement>> { return (*charge)->settle(report(1, 2)); };
  EXPECT_TRUE(threads.run_on(1, finish));
  charge->reset();
  drainer.join();
  EXPECT_EQ(billing.open_epochs(), 0u);
}

TEST_F(MeterTest, DrainingWaitsForARequestThatIsHeldButNotYetACharge) {
  const auto kept = treasury;
  AdmissionRequest first = request(), late = request();
  disk.hold_syncs(true);
  auto admitted = std::async(std::launch::async, [&] {
    auto work = [&]() -> awaitable<Result<std::unique_ptr<Charge>>> { return kept->meter().admit(std::move(first)); };
    return threads.run_on(1, work);
  });
  ASSERT_TRUE(eventually([&] { return !kept->leases().held().is_zero(); }));
  auto drained = std::async(std::launch::async, [&] { return drain(); });
  ASSERT_TRUE(eventually([&] {
    late.request = test::request_id(next_request++);
    late.prompt_tokens_max = late.completion_tokens_max = 0;  // costs nothing, and waits for the disk only if the door is open
    late.model = "unknown";
    auto work = [&]() -> awaitable<Result<std::unique_ptr<Charge>>> { return kept->meter().admit(late); };
    return threads.run_on(2, work).error().reason == "draining";
  }));
  disk.hold_syncs(false);
  auto charge = admitted.get();
  ASSERT_TRUE(charge) << charge.error().to_string();
  auto finish = [&]() -> awaitable<Result<Settlement>> { return (*charge)->settle(report(1, 2)); };
  EXPECT_TRUE(threads.run_on(1, finish));
  charge->reset();
  EXPECT_TRUE(drained.get());
  EXPECT_EQ(billing.events().size(), 1u) << "what the customer was told is billed";
  EXPECT_EQ(billing.open_epochs(), 0u);
}

}  // namespace
}  // namespace tidegate::gateway
