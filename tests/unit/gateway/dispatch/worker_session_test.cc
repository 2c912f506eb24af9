#include "gateway/dispatch/worker_session.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/net/io_threads.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_worker_service.h"
#include "tests/support/log_capture.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {
namespace {

using tidegate::test::eventually;
using tidegate::test::SequentialIds;

/// Writes down what it is told of tokens and ends.
class Owner final : public SessionOwner {
 public:
  void on_opened(WorkerSession&) override {}
  void on_broken(WorkerSession&, bool) override {}
  void on_heard(WorkerSession&) override {}
  void on_capacity() override {}
  void on_accepted(DispatchTicket, const TokenUsage&) override {}
  void on_output(DispatchTicket) override {}
  void on_tokens(DispatchTicket, std::int64_t completion) override {
    const std::lock_guard lock(mutex_);
    tokens_.push_back(completion);
  }
  void on_over(DispatchTicket, SequenceFate) override {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  std::vector<std::int64_t> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  bool is_over() const {
    const std::lock_guard lock(mutex_);
    return is_over_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::int64_t> tokens_;
  bool is_over_ = false;
};

class Deaf final : public SequenceListener {
 public:
  void on_dispatched(const WorkerFacts&) override {}
  void on_delta(SequenceDelta&&) override {}
  void on_worker_lost() override {}
  void on_queue_refused(Refusal) override {}
};

class WorkerSessionTest : public testing::Test {
 protected:
  WorkerSessionTest() {
    worker_.listen("unix:" + dir_.file("w"));
    options_.gateway_id = "gw";
    options_.cluster_token = "cluster-token";
    options_.cache_secret = "cache";
    route_.worker_id = "w";
    route_.address = "unix:" + dir_.file("w");
    route_.model = "m";
    route_.region = "local";
    route_.pool = "cpu";
    route_.context_max = 4'096;
    plan_.model = "m";
    plan_.messages = {{Role::kUser, "hello"}};
    session_ = std::make_shared<WorkerSession>(1, options_, route_, owner_, metrics_.pool("m", "local", "cpu"), clock_,
                                               log_, threads_.executor(0));
    ended_ = std::async(std::launch::async, [this] {
      const auto life = [this] { return session_->run(); };
      threads_.run_on(0, life);
    });
  }
  ~WorkerSessionTest() override {
    threads_.run_on(0, [this] { session_->stop(); });
    ended_.get();
    threads_.run_on(0, [this] { session_.reset(); });
  }
  void begin() {
    SequenceRequest request;
    request.request = RequestId{SequentialIds::make(1)};
    request.tenant = TenantId{SequentialIds::make(2)};
    request.pool = session_->pool();
    request.plan = &plan_;
    request.max_tokens = 16;
    threads_.run_on(0, [&] { session_->begin(1, request, "salt", listener_, 10); });
  }
  bool can_take() {
    return threads_.run_on(0, [this] { return session_->can_take(); });
  }

  tidegate::test::TempDir dir_;
  IoThreads worker_threads_{1, "worker"};
  FakeWorkerService worker_{"w", "m", 4, worker_threads_.executor(0)};
  IoThreads threads_{1, "lane"};
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry registry_;
  GatewayMetrics metrics_{registry_};
  SessionOptions options_;
  Route route_;
  Plan plan_;
  Owner owner_;
  Deaf listener_;
  std::shared_ptr<WorkerSession> session_;
  std::future<void> ended_;
};

TEST_F(WorkerSessionTest, AFailureThatLostCountTakesNoTokensBack) {
  ASSERT_TRUE(eventually([&] { return can_take(); }));
  begin();
  ASSERT_TRUE(eventually([&] { return worker_.started_count() == 1; }));
  const std::uint64_t sequence = worker_.started(0).sequence();
  worker_.send(event_frame(sequence, "so far", 12, 4));
  ASSERT_TRUE(eventually([&] { return owner_.tokens() == std::vector<std::int64_t>{12}; }));
  v1::WorkerFrame failed;
  failed.set_credits_total(4);
  failed.add_events()->set_sequence(sequence);
  failed.mutable_events(0)->set_finish(v1::FINISH_REASON_ERROR);
  failed.mutable_events(0)->set_error_code("internal");
  worker_.send(failed);
  ASSERT_TRUE(eventually([&] { return owner_.is_over(); }));
  EXPECT_EQ(owner_.tokens(), (std::vector<std::int64_t>{12, 12}));
}

TEST_F(WorkerSessionTest, AWorkerThatComesBackIsKnownByItsNewFacts) {
  ASSERT_TRUE(eventually([&] { return can_take(); }));
  Route later = route_;
  later.context_max = 8'192;
  later.variant = "bf16";
  threads_.run_on(0, [&] { session_->revive(later); });
  EXPECT_EQ(threads_.run_on(0, [this] { return session_->pool().context_max; }), 8'192);
  EXPECT_EQ(threads_.run_on(0, [this] { return session_->route(); }), later);
  later.pool = "gpu";
  EXPECT_FALSE(threads_.run_on(0, [&] { return session_->has_pool_of(later); }));
}

TEST_F(WorkerSessionTest, AWorkerThatIsRoutedAgainAtOnceWasNotLost) {
  ASSERT_TRUE(eventually([&] { return can_take(); }));
  const bool is_offered = threads_.run_on(0, [this] {
    session_->retire();
    session_->revive(route_);
    return session_->can_take();
  });
  EXPECT_FALSE(is_offered) << "its stream is about to end, and would take the request with it";
  ASSERT_TRUE(eventually([&] { return worker_.hello_count() == 2 && can_take(); }));
  const Labels labels{{"model", "m"}, {"region", "local"}, {"pool", "cpu"}};
  EXPECT_EQ(registry_.value("tidegate_gateway_workers_lost_total", labels), 0);
  EXPECT_FALSE(log_.has("session_broken"));
}

TEST_F(WorkerSessionTest, ARetiredWorkerStillAnswersWhatItCounts) {
  ASSERT_TRUE(eventually([&] { return can_take(); }));
  const auto counting = threads_.run_on(0, [this] {
    auto count = session_->count(plan_);
    session_->retire();
    return count;
  });
  ASSERT_TRUE(eventually([&] { return worker_.counts().size() == 1; })) << "it left although nothing runs";
  v1::WorkerFrame frame = event_frame(worker_.counts().at(0).sequence(), "", 0, 4, v1::FINISH_REASON_STOP);
  frame.mutable_events(0)->mutable_usage()->set_prompt_tokens(9);
  worker_.send(std::move(frame));
  const auto answer = [&] { return threads_.run_on(0, [&] { return counting->prompt_tokens; }); };
  ASSERT_TRUE(eventually([&] { return answer().has_value(); }));
  ASSERT_TRUE(answer()->has_value()) << answer()->error().to_string();
  EXPECT_EQ(answer()->value(), 9);
  EXPECT_EQ(ended_.wait_for(std::chrono::seconds(10)), std::future_status::ready) << "it was the last thing to do";
}

TEST_F(WorkerSessionTest, ACountThatIsGivenUpLaterKeepsNoRetiredWorkerEither) {
  ASSERT_TRUE(eventually([&] { return can_take(); }));
  auto counting = threads_.run_on(0, [this] {
    auto count = session_->count(plan_);
    session_->retire();
    session_->end_if_done();
    return count;
  });
  ASSERT_TRUE(eventually([&] { return worker_.counts().size() == 1; })) << "somebody waits for it";
  threads_.run_on(0, [&] {
    counting.reset();
    session_->end_if_done();
  });
  EXPECT_EQ(ended_.wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(WorkerSessionTest, ACountThatNobodyWaitsForKeepsNoRetiredWorker) {
  ASSERT_TRUE(eventually([&] { return can_take(); }));
  threads_.run_on(0, [this] {
    session_->count(plan_);
    session_->retire();
  });
  EXPECT_EQ(ended_.wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

}  // namespace
}  // namespace tidegate::gateway::test
