#include "tests/integration/billing/house.h"
#include "tidegate/v1/meter.grpc.pb.h"

namespace tidegate::billing {
namespace {

using MeterApi = class v1::WorkerMeter::Stub::async;
using namespace std::chrono_literals;

/// Two billed requests, and their worker, which may tell what it recorded.
class Meter : public House {
 protected:
  Meter() : customer_(make_customer("acme", "10")), epoch_(open_epoch()), meter_(accounts_channel_) {
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "1")).value();
    for (std::uint64_t sequence : {1u, 2u}) {
      auto event = make_event(customer_, lease_, sequence);
      event.set_worker_id(worker_);
      events_.push_back(event);
    }
    EXPECT_TRUE(submit(make_batch(epoch_, events_)));
  }

  v1::WorkerRecord record_of(const v1::UsageEvent& event) const {
    v1::WorkerRecord record;
    record.set_request_id(event.request_id());
    record.set_finished_us(event.completed_us());
    record.set_finish("stop");
    record.set_prompt_tokens(event.prompt_tokens());
    record.set_cached_tokens(event.cached_tokens());
    record.set_completion_tokens(event.completion_tokens());
    record.set_reasoning_tokens(event.reasoning_tokens());
    return record;
  }
  /// Covers everything until now and a while beyond, unless changed.
  v1::WorkerRecordBatch batch_of(std::uint64_t first, const std::vector<v1::WorkerRecord>& records) const {
    v1::WorkerRecordBatch batch;
    batch.set_worker_id(worker_);
    batch.set_first(first);
    for (const auto& record : records) *batch.add_records() = record;
    batch.set_covered_until_us(unix_micros(clock_.wall() + 1min));
    return batch;
  }
  Result<v1::WorkerRecordAck> tell(v1::WorkerRecordBatch batch) {
    return meter_.call_blocking(&MeterApi::SubmitRecords, std::move(batch), soon());
  }

  std::string worker_ = ids_.next().to_string();
  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
  std::vector<v1::UsageEvent> events_;
  rpc::Client<v1::WorkerMeter> meter_;
};

TEST_F(Meter, BillsThatTheWorkerConfirmsAreSound) {
  EXPECT_EQ(tell(batch_of(1, {record_of(events_[0]), record_of(events_[1])}))->applied_through(), 2u);
  expect_reconciled();
}

TEST_F(Meter, UsageOfAWorkerThatToldNothingIsNotHeldAgainstIt) { expect_reconciled(); }

TEST_F(Meter, ABatchToldAgainChangesNothing) {
  const auto batch = batch_of(1, {record_of(events_[0]), record_of(events_[1])});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(tell(batch)->applied_through(), 2u);
  EXPECT_EQ(tell(batch_of(2, {record_of(events_[1])}))->applied_through(), 2u);
  EXPECT_EQ(query("SELECT count(*) FROM worker_records"), "2");
  expect_reconciled();
}

TEST_F(Meter, WhatARequestTookStandsBesideItsBill) {
  auto guessed = record_of(events_[0]);
  guessed.set_drafted_tokens(30);
  guessed.set_accepted_tokens(12);
  guessed.set_device_us(7'000'000'000);
  ASSERT_TRUE(tell(batch_of(1, {guessed, record_of(events_[1])})));
  const std::string took = R"(
    SELECT string_agg(concat_ws('/', u.miss, r.drafted, r.accepted, r.device_us), ' ' ORDER BY r.number)
    FROM usage_events u JOIN worker_records r ON r.worker_id = u.worker_id AND r.request_id = u.id)";
  const std::string computed = std::to_string(events_[0].prompt_tokens() - events_[0].cached_tokens());
  const std::string both = computed + "/30/12/7000000000 " + computed + "/0/0/0";
  EXPECT_EQ(query(took), both);
  // Told again as a worker did that knew nothing of it: the same records.
  EXPECT_EQ(tell(batch_of(1, {record_of(events_[0]), record_of(events_[1])}))->applied_through(), 2u);
  EXPECT_EQ(query(took), both);
  expect_reconciled();
}

TEST_F(Meter, AnEmptyBatchAsksHowFarBillingIs) {
  EXPECT_EQ(tell(batch_of(1, {}))->applied_through(), 0u);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), record_of(events_[1])})));
  EXPECT_EQ(tell(batch_of(1, {}))->applied_through(), 2u);
}

TEST_F(Meter, AGapIsRefused) {
  const auto answer = tell(batch_of(2, {record_of(events_[1])}));
  EXPECT_EQ(answer.error().reason, "sequence_gap");
  EXPECT_EQ(query("SELECT count(*) FROM worker_records"), "0");
}

TEST_F(Meter, OneTokenBilledTooManyIsFound) {
  auto fewer = record_of(events_[1]);
  fewer.set_completion_tokens(fewer.completion_tokens() - 1);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), fewer})));
  EXPECT_EQ(broken_checks(), "I13");
}

TEST_F(Meter, OneTokenBilledTooFewIsFound) {
  auto more = record_of(events_[1]);
  more.set_prompt_tokens(more.prompt_tokens() + 1);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), more})));
  EXPECT_EQ(broken_checks(), "I13");
}

TEST_F(Meter, ARequestThatItsWorkerRanTwiceIsHeldAgainstTheRunThatWasBilled) {
  auto lost = record_of(events_[1]);
  lost.set_finish("cancelled");
  lost.set_completion_tokens(lost.completion_tokens() - 1);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), lost, record_of(events_[1])})));
  expect_reconciled();
}

TEST_F(Meter, ABillThatNeitherOfTwoRunsConfirmsIsFound) {
  auto lost = record_of(events_[1]);
  lost.set_finish("cancelled");
  lost.set_completion_tokens(lost.completion_tokens() - 1);
  auto other = record_of(events_[1]);
  other.set_prompt_tokens(other.prompt_tokens() + 1);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), lost, other})));
  EXPECT_EQ(broken_checks(), "I13");
}

TEST_F(Meter, ABillThatTheWorkerNeverRecordedIsFoundOnceTheWorkerIsPastIt) {
  auto early = batch_of(1, {record_of(events_[0])});
  early.set_covered_until_us(events_[1].completed_us() - 1);
  ASSERT_TRUE(tell(early));
  expect_reconciled();
  ASSERT_TRUE(tell(batch_of(2, {})));
  EXPECT_EQ(broken_checks(), "I13");
}

TEST_F(Meter, AnEndedLifeCoversEverything) {
  auto last = batch_of(1, {record_of(events_[0])});
  last.set_covered_until_us(0);
  last.set_is_ended(true);
  ASSERT_TRUE(tell(last));
  EXPECT_EQ(broken_checks(), "I13");
}

TEST_F(Meter, AClientThatLeftMayBeBilledLessThanWasGenerated) {
  auto cut = make_event(customer_, lease_, 3);
  cut.set_worker_id(worker_);
  cut.set_status(v1::USAGE_STATUS_CANCELLED);
  cut.set_finish_reason("cancelled");
  ASSERT_TRUE(submit(make_batch(epoch_, {cut})));
  auto generated = record_of(cut);
  generated.set_finish("cancelled");
  generated.set_completion_tokens(generated.completion_tokens() + 5);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), record_of(events_[1]), generated})));
  expect_reconciled();
}

TEST_F(Meter, ButNeverMore) {
  auto cut = make_event(customer_, lease_, 3);
  cut.set_worker_id(worker_);
  cut.set_status(v1::USAGE_STATUS_CANCELLED);
  cut.set_finish_reason("cancelled");
  ASSERT_TRUE(submit(make_batch(epoch_, {cut})));
  auto generated = record_of(cut);
  generated.set_completion_tokens(generated.completion_tokens() - 1);
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), record_of(events_[1]), generated})));
  EXPECT_EQ(broken_checks(), "I13");
}

TEST_F(Meter, BadRecordsAreRefusedWithTheirField) {
  auto bad = record_of(events_[0]);
  bad.set_cached_tokens(bad.prompt_tokens() + 1);
  EXPECT_EQ(tell(batch_of(1, {record_of(events_[1]), bad})).error().field, "records[1].cached_tokens");
  bad = record_of(events_[0]);
  bad.set_drafted_tokens(-1);
  EXPECT_EQ(tell(batch_of(1, {bad})).error().field, "records[0].drafted_tokens");
  bad.set_drafted_tokens(3);
  bad.set_accepted_tokens(4);
  EXPECT_EQ(tell(batch_of(1, {bad})).error().field, "records[0].accepted_tokens");
  bad.set_accepted_tokens(3);
  bad.set_device_us(-1);
  EXPECT_EQ(tell(batch_of(1, {bad})).error().field, "records[0].device_us");
  bad = record_of(events_[0]);
  bad.set_finish("tired");
  EXPECT_EQ(tell(batch_of(1, {bad})).error().field, "records[0].finish");
  bad = record_of(events_[0]);
  bad.set_request_id("short");
  EXPECT_EQ(tell(batch_of(1, {bad})).error().field, "records[0].request_id");
  auto nobody = batch_of(1, {});
  nobody.set_worker_id("w");
  EXPECT_FALSE(tell(nobody));
  EXPECT_EQ(query("SELECT count(*) FROM worker_records"), "0");
}

TEST_F(Meter, OldRecordsAreForgottenAndTheirUsageIsNoLongerHeldAgainstThem) {
  ASSERT_TRUE(tell(batch_of(1, {record_of(events_[0]), record_of(events_[1])})));
  force("UPDATE worker_records SET finished_at = now() - interval '40 days', completion = 0, reasoning = 0");
  force("UPDATE usage_log SET admitted_at = now() - interval '40 days', started_at = now() - interval '40 days', "
        "completed_at = now() - interval '40 days'");
  force("UPDATE worker_records_kept SET kept_from = '-infinity'");  // else the next clearing is an hour away
  ASSERT_TRUE(tell(batch_of(3, {})));
  EXPECT_EQ(query("SELECT count(*) FROM worker_records"), "0");
  EXPECT_EQ(broken_checks().find("I13"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::billing
