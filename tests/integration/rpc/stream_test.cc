#include <atomic>
#include <mutex>
#include <optional>

#include "tests/integration/rpc/loopback.h"

namespace tidegate::rpc {
namespace {

using Fleet = class v1::Fleet::Stub::async;
using Writer = StreamWriter<v1::Routes>;

class ServerStream : public Loopback {
 protected:
  /// Keeps the writer for the test to push to.
  void serve_kept() {
    routes_.options.on_done = [this] { ++done_; };
    routes_.watch = [this](Writer writer) {
      const std::lock_guard lock(mutex_);
      writer_.emplace(std::move(writer));
    };
    start();
  }
  StreamReader<v1::Routes> open(Deadline deadline = Deadline::never()) {
    auto client = fleet_client();
    return client.read_stream(&Fleet::WatchRoutes, v1::WatchRoutesRequest(), deadline);
  }
  Writer& writer() {
    EXPECT_TRUE(test::eventually([&] {
      const std::lock_guard lock(mutex_);
      return writer_.has_value();
    }));
    return *writer_;
  }
  void TearDown() override {
    Loopback::TearDown();
    writer_.reset();
  }

  std::mutex mutex_;
  std::optional<Writer> writer_;
  std::atomic<int> done_ = 0;
};

TEST_F(ServerStream, MessagesThenTheEndAgainAndAgain) {
  routes_.watch = [](Writer writer) {
    for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(writer.push(numbered(i)));
    writer.finish({});
    EXPECT_FALSE(writer.push(numbered(4)));
  };
  start();
  auto reader = open();
  const auto read_all = [&]() -> awaitable<std::vector<std::uint64_t>> {
    std::vector<std::uint64_t> versions;
    while (true) {
      auto item = co_await reader.read(soon_enough());
      if (!item || !*item) break;
      versions.push_back((*item)->version());
    }
    co_return versions;
  };
  EXPECT_EQ(test::run_coro(read_all()), (std::vector<std::uint64_t>{1, 2, 3}));
  const auto again = reader.read_blocking(soon_enough());
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
}

TEST_F(ServerStream, ErrorEndsItWholeAfterTheMessages) {
  const Error wanted(Code::kFailedPrecondition, "term_too_old", "a newer scheduler leads", "term");
  routes_.watch = [&](Writer writer) {
    EXPECT_TRUE(writer.push(numbered(1)));
    writer.finish(fail(wanted));
  };
  start();
  auto reader = open();
  EXPECT_TRUE(reader.read_blocking(soon_enough()));
  const auto end = reader.read_blocking(soon_enough());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error(), wanted);
}

TEST_F(ServerStream, DroppedWriterEndsItAsAborted) {
  routes_.watch = [](Writer) {};
  start();
  auto reader = open();
  const auto end = reader.read_blocking(soon_enough());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().reason, "stream_dropped");
}

TEST_F(ServerStream, ReadThatTimesOutLosesNothing) {
  serve_kept();
  auto reader = open();
  const auto read_once = [&](Duration span) -> awaitable<Result<std::optional<v1::Routes>>> {
    co_return co_await reader.read(within(span));
  };
  const auto nothing = test::run_coro(read_once(std::chrono::milliseconds(10)));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().reason, "read_timeout");
  EXPECT_EQ(reader.read_blocking(within(std::chrono::milliseconds(10))).error().reason, "read_timeout");
  ASSERT_TRUE(writer().push(numbered(7)));
  const auto item = test::run_coro(read_once(std::chrono::seconds(20)));
  ASSERT_TRUE(item && *item);
  EXPECT_EQ((*item)->version(), 7U);
}

TEST_F(ServerStream, ReaderMayDieWhileAReadWaits) {
  serve_kept();
  asio::io_context context(1);
  std::optional<StreamReader<v1::Routes>> reader(open());
  Error error;
  asio::co_spawn(
      context,
      [&]() -> awaitable<void> {
        auto item = co_await reader->read();
        if (!item) error = item.error();
      },
      asio::detached);
  context.poll();
  writer();
  reader.reset();
  context.run();
  EXPECT_EQ(error.code, Code::kCancelled);
  EXPECT_TRUE(test::eventually([&] { return done_ == 1 && channel_->calls().size() == 0; }));
}

TEST_F(ServerStream, GoneClientClosesTheWriter) {
  serve_kept();
  auto reader = open();
  ASSERT_TRUE(writer().push(numbered(1)));
  ASSERT_TRUE(reader.read_blocking(soon_enough()));
  reader.cancel();
  EXPECT_TRUE(test::eventually([&] { return !writer().is_open() && done_ == 1; }));
  const Status late = writer().push(numbered(2));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, "stream_closed");
}

TEST_F(ServerStream, WithoutTheTokenNothingIsSent) {
  serve_kept();
  channel_ = connect("wrong");
  auto reader = open();
  const auto end = reader.read_blocking(soon_enough());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().reason, "bad_token");
  EXPECT_FALSE(writer().push(numbered(1)));
}

/// A client that does not read: pushes beyond the transport's window meet the bound.
class SlowReader : public ServerStream {
 protected:
  static v1::Routes bulky(std::uint64_t version) {
    v1::Routes routes = numbered(version);
    routes.add_models(std::string(256 << 10, 'm'));
    return routes;
  }
  /// The first failure, or OK after far more than any window.
  Status push_until_refused() {
    for (std::uint64_t i = 1; i <= 200; ++i) {
      if (const Status pushed = writer().push(bulky(i)); !pushed) return pushed;
    }
    return {};
  }
};

TEST_F(SlowReader, MeetsARefusalAndTheStreamLivesOn) {
  routes_.options.queue_max = 4;
  serve_kept();
  auto reader = open();
  const Status refused = push_until_refused();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "stream_queue_full");
  // The transport may still take one that waited; when its windows are full it takes no more.
  EXPECT_TRUE(test::eventually([&] { return !push_until_refused() && writer().queued() == 4; }));
  EXPECT_TRUE(writer().is_open());
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ((*reader.read_blocking(soon_enough()))->version(), i);
  // How much must be read before the sender hears of room is the transport's affair: half a window, which it sizes
  // itself.
  EXPECT_TRUE(test::eventually([&] {
    const auto item = reader.read_blocking(soon_enough());
    return item && *item && writer().push(numbered(1)).has_value();
  }));
}

TEST_F(SlowReader, IsCutOffWhereThatIsThePolicy) {
  routes_.options.queue_max = 4;
  routes_.options.when_full = WhenFull::kEnd;
  serve_kept();
  auto reader = open();
  EXPECT_EQ(push_until_refused().error().reason, "slow_reader");
  EXPECT_FALSE(writer().is_open());
  Result<std::optional<v1::Routes>> item;
  do {
    item = reader.read_blocking(soon_enough());
  } while (item && *item);
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().reason, "slow_reader");
}

TEST_F(SlowReader, SeesTheNewestSnapshotWhereMessagesReplaceEachOther) {
  routes_.options.queue_max = 1;
  routes_.options.merge = [](v1::Routes& last, v1::Routes& next) {
    last = std::move(next);
    return true;
  };
  serve_kept();
  auto reader = open();
  ASSERT_TRUE(push_until_refused());
  writer().finish({});
  std::uint64_t last = 0;
  int messages = 0;
  while (true) {
    const auto item = reader.read_blocking(soon_enough());
    ASSERT_TRUE(item) << item.error().to_string();
    if (!*item) break;
    EXPECT_GT((*item)->version(), last);
    last = (*item)->version();
    ++messages;
  }
  EXPECT_EQ(last, 200U);
  EXPECT_LT(messages, 200);
}

}  // namespace
}  // namespace tidegate::rpc
