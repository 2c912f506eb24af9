// The limiter's one script on a real redis-server: it does what its model in C++ does, and it is one atomic step.
#include "gateway/limits/rate_script.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "base/core/random.h"
#include "base/redis/redis_client.h"
#include "tests/support/gateway/rate_server.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_coro.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

Deadline soon() { return Deadline::at(std::chrono::steady_clock::now() + std::chrono::seconds(20)); }

/// A window that does not end while a test runs.
constexpr std::int64_t kTenYearsMs = 315'360'000'000;

/// One connection and one gateway's script, on a context of its own.
struct Line {
  Line(const std::string& address, const std::string& gateway, std::uint64_t epoch = 1) {
    RedisOptions options;
    options.address = address;
    client = *RedisClient::start(context.get_executor(), std::move(options), log, metrics, 1);
    EXPECT_TRUE(tidegate::test::run_coro(context, client->wait_connected(soon())));
    script = std::make_unique<RateScript>(*client, gateway, epoch);
  }
  Result<RateReply> send(const RateCall& call) { return tidegate::test::run_coro(context, script->send(call, soon())); }
  Result<RedisReply> command(RedisArgs args) { return tidegate::test::run_coro(context, client->command(std::move(args), soon())); }

  asio::io_context context{1};
  tidegate::test::LogCapture log;
  MemoryRegistry metrics;
  std::unique_ptr<RedisClient> client;
  std::unique_ptr<RateScript> script;
};

RateAsk window_ask(std::uint64_t rule, std::int64_t limit, std::int64_t want, std::int64_t window,
                   std::size_t group = 0) {
  RateAsk ask;
  ask.key = {.rule = tidegate::test::SequentialIds::make(rule), .meter = RateMeter::kTokens};
  ask.group = group;
  ask.span_ms = kTenYearsMs;
  ask.limit = limit;
  ask.mark = window;
  ask.least = want;
  ask.want = want;
  return ask;
}

class RateScriptTest : public testing::Test {
 protected:
  std::int64_t window_now(Line& line) { return line.send(RateCall())->server_ms / kTenYearsMs; }
  tidegate::test::RedisServer server_;
};

TEST_F(RateScriptTest, SaysWhatItsModelSays) {
  Rng rng(5);
  std::vector<std::unique_ptr<Line>> lines;
  for (int i = 0; i < 3; ++i) lines.push_back(std::make_unique<Line>(server_.address(), "g" + std::to_string(i)));
  const std::int64_t window = window_now(*lines[0]);
  test::RateServer model;
  const auto pick = [&](std::int64_t most) {
    return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(most) + 1));
  };
  for (int round = 0; round < 2'000; ++round) {
    RateCall call;
    call.is_beat = rng.below(4) == 0;
    std::size_t group = 0;
    for (std::uint64_t rule = 1; rule <= 5; ++rule) {
      if (rng.below(3) == 0) continue;
      if (rng.below(2) == 0) group = call.asks.size();
      RateAsk ask = window_ask(rule, 40 + 20 * static_cast<std::int64_t>(rule), 0, window, group);
      ask.adjust = pick(12) - 6;
      if (rng.below(8) == 0) ask.mark = window - 1;
      if (rule > 3) {
        ask.key.meter = RateMeter::kConcurrency;
        ask.span_ms = 0;
        ask.limit = 6;
        ask.mark = pick(2);
        ask.adjust = 0;
      }
      ask.least = rule > 3 ? ask.mark + pick(2) : pick(3);
      ask.want = ask.least + pick(3);
      call.asks.push_back(ask);
    }
    const std::size_t who = rng.below(lines.size());
    const auto real = lines[who]->send(call);
    ASSERT_TRUE(real) << real.error().to_string();
    model.now_ms = real->server_ms;
    const RateReply expected = model.run("g" + std::to_string(who), 1, call);
    ASSERT_EQ(real->gateways, expected.gateways) << round;
    ASSERT_EQ(real->answers.size(), expected.answers.size());
    for (std::size_t i = 0; i < expected.answers.size(); ++i) {
      ASSERT_EQ(real->answers[i].window, expected.answers[i].window) << round << '.' << i;
      ASSERT_EQ(real->answers[i].granted, expected.answers[i].granted) << round << '.' << i;
      ASSERT_EQ(real->answers[i].left, expected.answers[i].left) << round << '.' << i;
    }
    if (round % 500 != 499) continue;
    ASSERT_TRUE(lines[0]->command({"FLUSHALL"}));
    model.forget_everything();
  }
}

TEST_F(RateScriptTest, ManyThreadsTakeAllOfTheSmallerLimitAndAsMuchOfTheOther) {
  constexpr std::int64_t kSmaller = 700, kLarger = 1'000, kEach = 3;
  std::atomic<std::int64_t> smaller = 0, larger = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      Line line(server_.address(), "g" + std::to_string(t));
      const std::int64_t window = window_now(line);
      RateCall call;
      call.asks.push_back(window_ask(1, kLarger, kEach, window));
      call.asks.push_back(window_ask(2, kSmaller, kEach, window));
      for (int i = 0; i < 100; ++i) {
        const auto reply = line.send(call);
        if (!reply) {
          ADD_FAILURE() << reply.error().to_string();
          return;
        }
        larger += reply->answers[0].granted;
        smaller += reply->answers[1].granted;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(smaller.load(), kSmaller / kEach * kEach);
  EXPECT_EQ(larger.load(), smaller.load()) << "all or nothing";
}

TEST_F(RateScriptTest, SlotsOfAnEarlierLifeAreGoneWhenTheLaterOneSaysThatItLives) {
  Line first(server_.address(), "g1", 1'795'248'000'000'001), other(server_.address(), "g2");
  RateAsk slots;
  slots.key = {.rule = tidegate::test::SequentialIds::make(9), .meter = RateMeter::kConcurrency};
  slots.limit = 1;
  slots.least = 1;
  slots.want = 1;
  RateCall call;
  call.is_beat = true;
  call.asks.push_back(slots);
  EXPECT_EQ(first.send(call)->answers[0].granted, 1);
  EXPECT_EQ(other.send(call)->answers[0].granted, 0);
  Line second(server_.address(), "g1", 1'795'248'000'000'002);
  RateCall beat;
  beat.is_beat = true;
  ASSERT_TRUE(second.send(beat));
  const auto reply = other.send(call);
  EXPECT_EQ(reply->answers[0].granted, 1);
  EXPECT_EQ(reply->gateways, 2);
}

TEST_F(RateScriptTest, EveryKeyExpiresByItself) {
  Line line(server_.address(), "g1");
  RateCall call;
  call.is_beat = true;
  call.asks.push_back(window_ask(1, 10, 1, window_now(line)));
  RateAsk slots = window_ask(2, 10, 1, 0);
  slots.key.meter = RateMeter::kConcurrency;
  slots.span_ms = 0;
  call.asks.push_back(slots);
  ASSERT_TRUE(line.send(call));
  const auto keys = line.command({"KEYS", "tg:limit:*"});
  ASSERT_EQ(keys->items.size(), 3u);
  for (const RedisReply& key : keys->items) EXPECT_GT(line.command({"PTTL", key.text})->integer, 0) << key.text;
}

}  // namespace
}  // namespace tidegate::gateway
