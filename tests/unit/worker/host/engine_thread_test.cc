#include "worker/host/engine_thread.h"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/worker/fake_engine.h"
#include "tests/unit/worker/host/fake_sink.h"

namespace tidegate::worker {
namespace {

using namespace std::chrono_literals;
using test::eventually;

class EngineThreadTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeSink> attach(EngineThread& thread, SessionId id) {
    auto sink = std::make_shared<FakeSink>();
    thread.post_always([id, sink](EngineHost& host, Mono) { host.attach(id, sink); });
    return sink;
  }
  static void start(EngineThread& thread, SessionId session, std::uint64_t sequence) {
    ASSERT_TRUE(thread.post([session, sequence](EngineHost& host, Mono now) {
      host.start(session, {.sequence = sequence, .messages = {{}}, .budget = 60s}, now);
    }));
  }

  SystemClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
};

TEST_F(EngineThreadTest, ServesManySessionsFromManyThreads) {
  EngineThread thread(std::make_unique<FakeEngine>(), clock, metrics, log, {});
  constexpr int kGateways = 4;
  constexpr std::uint64_t kRequests = 50;
  std::atomic<int> done = 0;
  std::vector<std::thread> gateways;
  for (int g = 0; g < kGateways; ++g) {
    gateways.emplace_back([&, g] {
      const auto id = static_cast<SessionId>(g + 1);
      const auto sink = attach(thread, id);
      for (std::uint64_t sequence = 1; sequence <= kRequests; ++sequence) {
        // A gateway starts only what it has a credit for.
        if (!eventually([&] { return sink->credits() >= sequence; })) return;
        start(thread, id, sequence);
      }
      for (std::uint64_t sequence = 1; sequence <= kRequests; ++sequence) {
        if (!eventually([&] { return sink->finished(sequence); })) return;
        if (sink->events_of(sequence).back().finish != FinishReason::kStop) return;
      }
      ++done;
    });
  }
  for (std::thread& gateway : gateways) gateway.join();
  EXPECT_EQ(done, kGateways);
  EXPECT_EQ(registry.value("tidegate_worker_sequences_finished_total", {{"reason", "stop"}}), kGateways * kRequests);
}

TEST_F(EngineThreadTest, IdleThreadTakesNoSteps) {
  EngineThread thread(std::make_unique<FakeEngine>(), clock, metrics, log, {});
  const auto sink = attach(thread, 1);
  ASSERT_TRUE(eventually([&] { return sink->credits() > 0; }));
  start(thread, 1, 1);
  ASSERT_TRUE(eventually([&] { return sink->finished(1); }));
  const auto steps = registry.value("tidegate_worker_steps_total");
  std::atomic<bool> asked = false;
  thread.post_always([&](EngineHost&, Mono) { asked = true; });
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  EXPECT_EQ(registry.value("tidegate_worker_steps_total"), steps);
}

TEST_F(EngineThreadTest, FullInboxRefusesInsteadOfGrowing) {
  EngineThread thread(std::make_unique<FakeEngine>(), clock, metrics, log, {.inbox_max = 2});
  std::mutex gate;
  gate.lock();
  std::atomic<bool> blocked = false;
  thread.post_always([&](EngineHost&, Mono) {
    blocked = true;
    const std::lock_guard wait(gate);
  });
  ASSERT_TRUE(eventually([&] { return blocked.load(); }));
  EXPECT_TRUE(thread.post([](EngineHost&, Mono) {}));
  EXPECT_TRUE(thread.post([](EngineHost&, Mono) {}));
  EXPECT_FALSE(thread.post([](EngineHost&, Mono) {}));
  gate.unlock();
}

TEST_F(EngineThreadTest, DrainReportsOnceWhenNothingRuns) {
  EngineThread thread(std::make_unique<FakeEngine>(), clock, metrics, log, {});
  const auto sink = attach(thread, 1);
  ASSERT_TRUE(eventually([&] { return sink->credits() > 0; }));
  start(thread, 1, 1);
  std::atomic<int> drained = 0;
  thread.drain([&] { ++drained; });
  ASSERT_TRUE(eventually([&] { return drained > 0; }));
  EXPECT_TRUE(sink->finished(1));
  EXPECT_EQ(drained, 1);
}

TEST_F(EngineThreadTest, StoppingWhileSequencesRunDoesNotHang) {
  auto engine = std::make_unique<FakeEngine>();
  engine->script = std::vector<FakeEngine::Delta>(1'000'000, {"", "x"});
  EngineThread thread(std::move(engine), clock, metrics, log, {});
  const auto sink = attach(thread, 1);
  ASSERT_TRUE(eventually([&] { return sink->credits() > 0; }));
  start(thread, 1, 1);
  ASSERT_TRUE(eventually([&] { return sink->events_of(1).size() > 3; }));
  thread.stop();
  EXPECT_FALSE(thread.post([](EngineHost&, Mono) {}));
}

}  // namespace
}  // namespace tidegate::worker
