#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>

#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/integration/rpc/loopback.h"

namespace tidegate::rpc {
namespace {

using Worker = class v1::Worker::Stub::async;
using Stream = SessionService::Stream;
using ClientStream = BidiClient<v1::GatewayFrame, v1::WorkerFrame>;

/// Answers each frame with the sum of its cancelled sequences, then ends as the client ends.
awaitable<void> sum_session(Stream stream, std::atomic<int>& ended) {
  while (true) {
    auto item = co_await stream.read();
    if (!item || !*item) break;
    v1::WorkerFrame answer;
    for (const auto sequence : (*item)->cancel()) answer.set_step(answer.step() + sequence);
    if (!stream.write(std::move(answer))) break;
  }
  stream.finish({});
  ++ended;
}

class Bidi : public Loopback {
 protected:
  Bidi() : runner_([this] { context_.run(); }) {}
  ~Bidi() override { EXPECT_FALSE(runner_.joinable()); }
  void serve_sums() {
    sessions_.session = [this](Stream stream) {
      ++started_;
      asio::co_spawn(context_, sum_session(std::move(stream), ended_), asio::detached);
    };
    start();
  }
  void serve_kept() {
    sessions_.session = [this](Stream stream) {
      const std::lock_guard lock(mutex_);
      kept_.emplace(std::move(stream));
    };
    start();
  }
  Stream& kept() {
    EXPECT_TRUE(test::eventually([&] {
      const std::lock_guard lock(mutex_);
      return kept_.has_value();
    }));
    return *kept_;
  }
  ClientStream open(StreamOptions<v1::GatewayFrame> options = {}) {
    auto client = worker_client();
    return client.open_bidi(&Worker::Session, Deadline::never(), std::move(options));
  }
  void TearDown() override {
    Loopback::TearDown();
    kept_.reset();
    work_.reset();
    runner_.join();
  }

  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::atomic<int> started_ = 0;
  std::atomic<int> ended_ = 0;
  std::mutex mutex_;
  std::optional<Stream> kept_;
  std::thread runner_;
};

TEST_F(Bidi, FramesGoBothWaysInOrder) {
  serve_sums();
  auto stream = open();
  const auto talk = [&]() -> awaitable<std::string> {
    for (std::uint64_t i = 1; i <= 50; ++i) {
      if (!stream.write(cancel_of(i))) co_return "write refused";
    }
    for (std::uint64_t i = 1; i <= 50; ++i) {
      auto item = co_await stream.read(soon_enough());
      if (!item || !*item || (*item)->step() != i) co_return "answer " + std::to_string(i) + " is wrong";
    }
    stream.writes_done();
    auto end = co_await stream.read(soon_enough());
    co_return end && !*end ? "ok" : "no clean end";
  };
  EXPECT_EQ(test::run_coro(talk()), "ok");
  EXPECT_TRUE(test::eventually([&] { return ended_ == 1; }));
}

TEST_F(Bidi, ConsumeRunsOnItsExecutorInOrderAndReportsTheEnd) {
  std::promise<Status> end;
  std::atomic<bool> is_right_thread = true;
  std::vector<std::uint64_t> seen;
  sessions_.session = [&](Stream stream) {
    stream.consume(
        context_.get_executor(),
        [&](v1::GatewayFrame frame) {
          if (std::this_thread::get_id() != runner_.get_id()) is_right_thread = false;
          seen.push_back(frame.cancel(0));
        },
        [&](Status status) { end.set_value(std::move(status)); });
    const std::lock_guard lock(mutex_);
    kept_.emplace(std::move(stream));
  };
  start();
  auto stream = open();
  for (std::uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(stream.write(cancel_of(i)));
  stream.writes_done();
  EXPECT_TRUE(end.get_future().get());
  EXPECT_TRUE(is_right_thread);
  ASSERT_EQ(seen.size(), 20U);
  EXPECT_EQ(seen.back(), 20U);
  const auto item = stream.read_blocking(soon_enough());
  EXPECT_TRUE(item && !*item);
}

TEST_F(Bidi, ConsumeHearsThatTheClientIsGone) {
  std::promise<Status> end;
  sessions_.session = [&](Stream stream) {
    stream.consume(context_.get_executor(), [](v1::GatewayFrame) {}, [&](Status status) { end.set_value(std::move(status)); });
    const std::lock_guard lock(mutex_);
    kept_.emplace(std::move(stream));
  };
  start();
  {
    auto stream = open();
    ASSERT_TRUE(stream.write(cancel_of(1)));
    kept();
  }
  const Status status = end.get_future().get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kCancelled);
  EXPECT_TRUE(test::eventually([&] { return !kept().is_open(); }));
}

TEST_F(Bidi, FinishFlushesTheQueueThenTellsTheReason) {
  serve_kept();
  auto stream = open();
  for (std::uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(kept().write(step(i)));
  kept().finish(fail(Code::kUnavailable, "worker_draining", "this worker takes no more", ""));
  EXPECT_FALSE(kept().write(step(11)));
  for (std::uint64_t i = 1; i <= 10; ++i) {
    const auto item = stream.read_blocking(soon_enough());
    ASSERT_TRUE(item && *item);
    EXPECT_EQ((*item)->step(), i);
  }
  EXPECT_EQ(stream.read_blocking(soon_enough()).error().reason, "worker_draining");
  EXPECT_TRUE(test::eventually([&] { return !stream.write(cancel_of(1)); }));
}

TEST_F(Bidi, ServerMergesFramesAClientIsTooSlowFor) {
  sessions_.options.queue_max = 2;
  sessions_.options.merge = [](v1::WorkerFrame& last, v1::WorkerFrame& next) {
    last.MergeFrom(next);
    return true;
  };
  serve_kept();
  auto stream = open();
  for (std::uint64_t i = 1; i <= 30; ++i) {
    v1::WorkerFrame frame = step(i);
    auto* event = frame.add_events();
    event->set_sequence(i);
    event->set_content(std::string(100 << 10, 'c'));
    if (const Status written = kept().write(std::move(frame)); !written) {
      FAIL() << "step " << i << ": " << written.error().to_string();
    }
  }
  kept().finish({});
  std::uint64_t events = 0;
  int frames = 0;
  while (true) {
    const auto item = stream.read_blocking(soon_enough());
    ASSERT_TRUE(item) << item.error().to_string();
    if (!*item) break;
    ++frames;
    for (const auto& event : (*item)->events()) EXPECT_EQ(event.sequence(), ++events);
  }
  EXPECT_EQ(events, 30U);
  EXPECT_LT(frames, 30);
}

TEST_F(Bidi, ClientQueueIsBoundedWhenTheServerDoesNotRead) {
  serve_kept();
  StreamOptions<v1::GatewayFrame> options;
  options.queue_max = 3;
  auto stream = open(options);
  const auto write_until_refused = [&] {
    Status refused;
    for (int i = 0; i < 200 && refused; ++i) {
      v1::GatewayFrame frame = cancel_of(1);
      frame.add_start()->set_cache_salt(std::string(256 << 10, 's'));
      refused = stream.write(std::move(frame));
    }
    return refused;
  };
  const Status refused = write_until_refused();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "stream_queue_full");
  // The transport may still take one that waited; when its windows are full it takes no more.
  EXPECT_TRUE(test::eventually([&] { return !write_until_refused() && stream.queued() == 3; }));
}

TEST_F(Bidi, UnreadMessagesStayWithTheSender) {
  serve_kept();
  auto stream = open();
  int accepted = 0;
  const auto write_until_refused = [&] {
    for (; accepted < 2000; ++accepted) {
      v1::WorkerFrame frame = step(1);
      frame.add_events()->set_content(std::string(64 << 10, 'c'));
      if (!kept().write(std::move(frame))) return;
    }
  };
  // 64 wait by default; what the transport's windows took, also behind the first refusal, is far less than all of it.
  EXPECT_TRUE(test::eventually([&] {
    write_until_refused();
    return kept().queued() == 64;
  }));
  EXPECT_LT(accepted, 1000);
}

TEST_F(Bidi, WithoutTheTokenTheSessionHearsTheRefusal) {
  std::promise<Error> heard;
  sessions_.session = [&](Stream stream) {
    stream.consume(context_.get_executor(), [](v1::GatewayFrame) {}, [&](Status status) { heard.set_value(status.error()); });
  };
  start();
  channel_ = connect("");
  auto stream = open();
  EXPECT_EQ(stream.read_blocking(soon_enough()).error().reason, "missing_token");
  EXPECT_EQ(heard.get_future().get().reason, "missing_token");
}

TEST_F(Bidi, StreamsMayDieAtAnyMoment) {
  serve_sums();
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([this, t] {
      for (int i = 0; i < 40; ++i) {
        auto stream = open();
        for (int w = 0; w < (i + t) % 5; ++w) (void)stream.write(cancel_of(1));
        if (i % 3 == 0) (void)stream.read_blocking(within(std::chrono::milliseconds(i % 7)));
        if (i % 4 == 0) stream.writes_done();
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_TRUE(test::eventually([&] { return channel_->calls().size() == 0; }));
  server_->drain(soon_enough());  // nothing starts after this; some streams were gone before the server heard of them
  EXPECT_TRUE(test::eventually([&] { return ended_ == started_; }));
}

TEST_F(Bidi, ChannelEndsStreamsThatNobodyReads) {
  serve_kept();
  auto stream = open();
  ASSERT_TRUE(kept().write(step(1)));
  ASSERT_TRUE(test::eventually([&] { return kept().queued() == 0; }));
  channel_->shut();
  EXPECT_EQ(channel_->calls().size(), 0U);
  EXPECT_FALSE(stream.read_blocking(soon_enough()));
}

}  // namespace
}  // namespace tidegate::rpc
