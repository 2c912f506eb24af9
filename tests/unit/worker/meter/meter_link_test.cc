#include "worker/meter/meter_link.h"

#include <gmock/gmock.h>

#include <mutex>

#include "base/net/io_threads.h"
#include "base/rpc/server.h"
#include "base/rpc/unary_host.h"
#include "base/rpc/work_pool.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/meter/entries.h"

namespace tidegate::worker {
namespace {

using namespace std::chrono_literals;
using test::eventually;

constexpr const char* kOwn = "0198f000-0000-7000-8000-00000000000b";
constexpr const char* kEarlier = "0198f000-0000-7000-8000-00000000000a";

/// Billing, as far as the meter knows it.
class FakeBilling final : public v1::WorkerMeter::CallbackService {
 public:
  explicit FakeBilling(rpc::WorkPool& pool) : host_(pool, rpc::AuthGate::required("secret")) {}

  grpc::ServerUnaryReactor* SubmitRecords(grpc::CallbackServerContext* call, const v1::WorkerRecordBatch* request,
                                          v1::WorkerRecordAck* response) override {
    return host_.serve(call, response, [this, request](const rpc::ServerCall&) { return take(*request); });
  }
  std::vector<v1::WorkerRecord> records_of(const std::string& worker) const {
    const std::lock_guard lock(mutex_);
    const auto found = lives_.find(worker);
    return found == lives_.end() ? std::vector<v1::WorkerRecord>() : found->second.records;
  }
  std::int64_t covered_until(const std::string& worker) const {
    const std::lock_guard lock(mutex_);
    const auto found = lives_.find(worker);
    return found == lives_.end() ? 0 : found->second.covered_us;
  }
  bool is_ended(const std::string& worker) const {
    const std::lock_guard lock(mutex_);
    const auto found = lives_.find(worker);
    return found != lives_.end() && found->second.is_ended;
  }
  /// As after a restore of an older backup.
  void forget() {
    const std::lock_guard lock(mutex_);
    lives_.clear();
  }
  void fail_next(int count) { failures_ = count; }

 private:
  struct Life {
    std::vector<v1::WorkerRecord> records;
    std::int64_t covered_us = 0;
    bool is_ended = false;
  };
  Result<v1::WorkerRecordAck> take(const v1::WorkerRecordBatch& batch) {
    const std::lock_guard lock(mutex_);
    Life& life = lives_[batch.worker_id()];
    if (batch.first() > life.records.size() + 1 && batch.records_size() > 0) {
      return fail(Code::kFailedPrecondition, "sequence_gap", "gap");
    }
    for (int i = 0; i < batch.records_size(); ++i) {
      if (batch.first() + static_cast<std::uint64_t>(i) == life.records.size() + 1) life.records.push_back(batch.records(i));
    }
    life.covered_us = std::max(life.covered_us, batch.covered_until_us());
    life.is_ended = life.is_ended || batch.is_ended();
    if (failures_ > 0) {
      --failures_;
      return fail(Code::kUnavailable, "answer_lost", "taken, but the answer is lost");
    }
    v1::WorkerRecordAck ack;
    ack.set_applied_through(life.records.size());
    return ack;
  }

  rpc::UnaryHost host_;
  mutable std::mutex mutex_;
  std::map<std::string, Life> lives_;
  int failures_ = 0;
};

class MeterLinkTest : public ::testing::Test {
 protected:
  MeterLinkTest() {
    auto started = rpc::RpcServer::start({.listen = {"unix:" + folder.file("b.sock")}}, {&billing});
    server = *std::move(started);
    channel = *rpc::make_channel(server->addresses()[0], {.token = "secret"});
    own = *MeterFile::create(meter_folder(), kOwn, clock, log, metrics.meter_failures);
  }
  ~MeterLinkTest() override {
    link.reset();
    channel->shut();
    server.reset();
    pool.stop();
    io.stop();
  }
  std::filesystem::path meter_folder() const { return folder.path() / "meter"; }
  void start() {
    const MeterLink::Options quick{.interval = 2ms, .retry_least = 1ms, .retry_most = 5ms};
    link.emplace(channel, io.executor(0), clock, log, metrics, *own, quick);
    link->start();
  }
  bool told(const std::string& worker, std::size_t count) {
    return eventually([&] { return billing.records_of(worker).size() == count; });
  }

  test::TempDir folder;
  SystemClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  IoThreads io{1, "meter-test"};
  rpc::WorkPool pool{1, 64, "meter-test"};
  FakeBilling billing{pool};
  std::unique_ptr<rpc::RpcServer> server;
  std::shared_ptr<rpc::Channel> channel;
  std::unique_ptr<MeterFile> own;
  std::optional<MeterLink> link;
};

TEST_F(MeterLinkTest, RecordsReachBillingInOrderAndOnce) {
  start();
  for (int i = 0; i < 50; ++i) own->record(entry_of(static_cast<std::uint8_t>(i)));
  ASSERT_TRUE(told(kOwn, 50));
  const auto records = billing.records_of(kOwn);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(records[static_cast<std::size_t>(i)].completion_tokens(), 20 + i);
  EXPECT_EQ(records[0].finish(), "length");
  EXPECT_EQ(records[0].prompt_tokens(), 100);
  EXPECT_EQ(records[0].cached_tokens(), 7);
  EXPECT_EQ(records[0].reasoning_tokens(), 3);
  EXPECT_EQ(records[0].drafted_tokens(), 9);
  EXPECT_EQ(records[0].accepted_tokens(), 8);
  EXPECT_EQ(records[0].device_us(), 5'000'000'000);
}

TEST_F(MeterLinkTest, TheMarkFollowsTheClockWhileNothingHappens) {
  const std::int64_t began = unix_micros(clock.wall());
  start();
  ASSERT_TRUE(eventually([&] { return billing.covered_until(kOwn) >= began; }));
  EXPECT_FALSE(billing.is_ended(kOwn));
}

TEST_F(MeterLinkTest, MoreThanABatchIsToldInBatches) {
  for (int i = 0; i < 1203; ++i) own->record(entry_of(static_cast<std::uint8_t>(i)));
  start();
  EXPECT_TRUE(told(kOwn, 1203));
}

TEST_F(MeterLinkTest, AnEarlierLifeIsToldAndItsFileRemoved) {
  const auto earlier = *MeterFile::create(meter_folder(), kEarlier, clock, log, metrics.meter_failures);
  for (int i = 0; i < 3; ++i) earlier->record(entry_of(static_cast<std::uint8_t>(i)));
  start();
  ASSERT_TRUE(eventually([&] { return !std::filesystem::exists(earlier->path()); }));
  EXPECT_EQ(billing.records_of(kEarlier).size(), 3u);
  EXPECT_TRUE(billing.is_ended(kEarlier));
  EXPECT_TRUE(std::filesystem::exists(own->path()));
}

TEST_F(MeterLinkTest, ALostAnswerRepeatsNothing) {
  start();
  billing.fail_next(3);
  for (int i = 0; i < 20; ++i) own->record(entry_of(static_cast<std::uint8_t>(i)));
  ASSERT_TRUE(told(kOwn, 20));
  const std::int64_t later = unix_micros(clock.wall());
  ASSERT_TRUE(eventually([&] { return billing.covered_until(kOwn) >= later; }));
  EXPECT_EQ(billing.records_of(kOwn).size(), 20u);
}

TEST_F(MeterLinkTest, BillingThatForgotIsToldAgain) {
  start();
  for (int i = 0; i < 5; ++i) own->record(entry_of(static_cast<std::uint8_t>(i)));
  ASSERT_TRUE(told(kOwn, 5));
  billing.forget();
  own->record(entry_of(5));
  EXPECT_TRUE(told(kOwn, 6));
}

}  // namespace
}  // namespace tidegate::worker
