// Three gates that share a real redis-server: at ten times the load, when it dies, when it freezes.
#include "gateway/limits/rate_keeper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/net/io_threads.h"
#include "base/redis/redis_client.h"
#include "tests/support/coro_wait.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis_server.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

using tidegate::test::eventually;
using std::chrono::milliseconds;

Uuid id(std::uint64_t n) { return tidegate::test::SequentialIds::make(n); }

RateRule rule_of(std::uint64_t n) {
  RateRule rule;
  rule.id = id(n);
  rule.tenant = TenantId{id(71)};
  return rule;
}

/// One gateway: Redis on thread 0, requests on thread 1. Unless a test says otherwise it waits longer for Redis than a
/// busy machine holds up an answer, so that limits stay shared.
struct Gate {
  Gate(const std::string& name, const std::string& address, RateRule rule, std::int64_t gateways = 1,
       Duration wait_max = std::chrono::seconds(20)) {
    std::vector<RateRule> all;
    all.push_back(std::move(rule));
    rules = std::make_shared<const RateRules>(std::move(all));
    auto who = std::make_shared<Principal>();
    who->tenant = TenantId{id(71)};
    who->project = ProjectId{id(72)};
    who->key = ApiKeyId{id(73)};
    principal = std::move(who);
    if (!address.empty()) {
      RedisOptions options;
      options.address = address;
      options.backoff_most = milliseconds(50);
      const auto connect = [&] { return RedisClient::start(threads.executor(0), options, log, registry, 1); };
      redis = threads.run_on(0, connect).value();
    }
    RateKeeperConfig config;
    config.gateway_id = name;
    config.epoch = 1;
    config.gateways = gateways;
    config.wait_max = wait_max;
    RateKeeperParts parts{.redis = redis.get(),
                          .rules = [this] { return rules; },
                          .metrics = metrics,
                          .clock = clock,
                          .log = log,
                          .executor = threads.executor(0)};
    keeper = std::make_shared<RateKeeper>(std::move(config), std::move(parts));
    keeper->start();
  }
  ~Gate() {
    const auto stop = [this] { return keeper->stop(); };
    threads.run_on(0, stop);
    threads.run_on(0, [this] { redis.reset(); });
    threads.stop();
  }

  RateRequest request(std::int64_t tokens) const {
    RateRequest out;
    out.principal = principal;
    out.model = "m";
    out.tokens_max = tokens;
    return out;
  }
  RateAdmission admit(std::int64_t tokens = 1) {
    const auto work = [&] { return keeper->admit(request(tokens)); };
    return threads.run_on(1, work);
  }
  /// Requests one after the other; how many were let in. What they hold is given up at once, or at the end.
  awaitable<std::int64_t> burst(int requests, std::int64_t tokens) {
    std::int64_t admitted = 0;
    for (int i = 0; i < requests; ++i) {
      auto asking = keeper->admit(request(tokens));
      const RateAdmission admission = co_await std::move(asking);
      admitted += admission.permit ? 1 : 0;
      if (i % 100 == 99) co_await tidegate::test::turn();
    }
    co_return admitted;
  }
  std::future<std::int64_t> start_burst(int requests, std::int64_t tokens) {
    return std::async(std::launch::async, [this, requests, tokens] {
      const auto work = [&] { return burst(requests, tokens); };
      return threads.run_on(1, work);
    });
  }
  bool is_shared_soon() {
    return eventually([&] { return keeper->is_shared(); }, std::chrono::seconds(20));
  }

  IoThreads threads{2, "gate"};
  SystemClock clock;
  tidegate::test::LogCapture log;
  MemoryRegistry registry;
  RateMetrics metrics{registry};
  std::shared_ptr<const RateRules> rules;
  std::shared_ptr<const Principal> principal;
  std::unique_ptr<RedisClient> redis;
  std::shared_ptr<RateKeeper> keeper;
};

class RateKeeperTest : public testing::Test {
 protected:
  std::vector<std::unique_ptr<Gate>> open(const RateRule& rule, int count = 3,
                                          Duration wait_max = std::chrono::seconds(20)) {
    std::vector<std::unique_ptr<Gate>> gates;
    for (int i = 0; i < count; ++i) {
      gates.push_back(std::make_unique<Gate>("g" + std::to_string(i), server_.address(), rule, 1, wait_max));
    }
    for (auto& gate : gates) EXPECT_TRUE(gate->is_shared_soon());
    for (auto& gate : gates) {
      EXPECT_TRUE(eventually([&] { return gate->keeper->gateways() == count; }));
    }
    return gates;
  }
  tidegate::test::RedisServer server_;
};

TEST_F(RateKeeperTest, ThreeGatesAtTenTimesTheLoadAdmitTheLimitToOnePerCentAndNeverMore) {
  // Tokens of a day: the window does not end while the test runs. Each request counts one.
  RateRule rule = rule_of(1);
  rule.tokens_per_day = 3'000;
  auto gates = open(rule);
  std::vector<std::future<std::int64_t>> bursts;
  for (auto& gate : gates) bursts.push_back(gate->start_burst(10'000, 1));
  std::int64_t admitted = 0;
  for (auto& burst : bursts) admitted += burst.get();
  EXPECT_LE(admitted, 3'000);
  EXPECT_GE(admitted, 2'970);
  double calls = 0;
  for (auto& gate : gates) calls += gate->registry.value("tidegate_gateway_limit_calls_total", {{"result", "ok"}});
  EXPECT_LT(calls, 30'000 / 10) << "shares are taken, not single requests";
}

TEST_F(RateKeeperTest, ARefusalSaysWhichLimitAndWhenAndTheMetricsSayHowMany) {
  RateRule rule = rule_of(2);
  rule.tokens_per_day = 100;
  auto gates = open(rule, 1);
  RateAdmission first = gates[0]->admit(60);
  ASSERT_TRUE(first.permit);
  EXPECT_EQ(first.status.daily_tokens->remaining, 40);
  RateAdmission second = gates[0]->admit(60);
  ASSERT_TRUE(second.refused);
  EXPECT_FALSE(second.permit);
  EXPECT_EQ(second.refused->error.reason, "rate_limit_exceeded");
  EXPECT_GT(*second.refused->retry_after, Duration::zero());
  first.permit->settle(10);
  EXPECT_TRUE(eventually([&] { return gates[0]->admit(60).permit != nullptr; })) << "what was not used is back";
  const auto decisions = [&](const char* outcome) {
    return gates[0]->registry.value("tidegate_gateway_limit_decisions_total", {{"outcome", outcome}});
  };
  EXPECT_EQ(decisions("admitted"), 2);
  EXPECT_GE(decisions("daily_tokens"), 1);
}

TEST_F(RateKeeperTest, SlotsAreCountedOverAllGatesUntilThePermitIsGone) {
  RateRule rule = rule_of(3);
  rule.concurrency = 2;
  auto gates = open(rule);
  RateAdmission a = gates[0]->admit(), b = gates[1]->admit();
  ASSERT_TRUE(a.permit);
  ASSERT_TRUE(b.permit);
  EXPECT_TRUE(gates[2]->admit().refused);
  a.permit.reset();
  EXPECT_TRUE(eventually([&] { return gates[2]->admit().permit != nullptr; }));
}

TEST_F(RateKeeperTest, AFrozenRedisHoldsNobodyUpAndOpensNothing) {
  RateRule rule = rule_of(4);
  rule.tokens_per_day = 300;
  auto gates = open(rule, 3, RateKeeperConfig().wait_max);
  server_.freeze();
  std::int64_t admitted = 0;
  std::vector<Duration> waits;
  for (auto& gate : gates) {
    for (int i = 0; i < 200; ++i) {
      const Mono began = gate->clock.mono();
      admitted += gate->admit().permit ? 1 : 0;
      waits.push_back(gate->clock.mono() - began);
    }
    EXPECT_TRUE(eventually([&] {
      return !gate->keeper->is_shared() && gate->log.has("limits_static") &&
             gate->registry.value("tidegate_gateway_limit_static_count") == 1;
    })) << "told behind the first answer";
  }
  EXPECT_EQ(admitted, 300) << "a third each: the gates counted each other while Redis was there";
  std::ranges::sort(waits);
  EXPECT_LE(waits[waits.size() * 95 / 100], milliseconds(50));
  EXPECT_LE(waits.back(), std::chrono::seconds(10)) << "one timeout, and what a busy machine adds";

  server_.thaw();
  for (auto& gate : gates) EXPECT_TRUE(gate->is_shared_soon());
  for (auto& gate : gates) EXPECT_TRUE(gate->admit().refused) << "what was admitted meanwhile was told";
}

TEST_F(RateKeeperTest, ADeadRedisIsReplacedByStaticPartsUntilItIsBack) {
  RateRule rule = rule_of(5);
  rule.tokens_per_day = 90;
  auto gates = open(rule);
  server_.kill();
  for (auto& gate : gates) {
    EXPECT_TRUE(eventually([&] { return !gate->keeper->is_shared(); }));
    std::int64_t admitted = 0;
    for (int i = 0; i < 100; ++i) admitted += gate->admit().permit ? 1 : 0;
    EXPECT_EQ(admitted, 30);
  }
  server_.start();
  for (auto& gate : gates) EXPECT_TRUE(gate->is_shared_soon());
  EXPECT_TRUE(gates[0]->admit().refused);
}

TEST_F(RateKeeperTest, WithoutAnyRedisThePartIsTheConfiguredOne) {
  RateRule rule = rule_of(6);
  rule.tokens_per_day = 40;
  Gate gate("alone", "", rule, 4);
  std::int64_t admitted = 0;
  for (int i = 0; i < 100; ++i) admitted += gate.admit().permit ? 1 : 0;
  EXPECT_EQ(admitted, 10);
  EXPECT_FALSE(gate.keeper->is_shared());
}

TEST_F(RateKeeperTest, ARequestThatNoRuleBindsHasNoPermitAndNoStatus) {
  RateRule rule = rule_of(7);
  rule.model = "another";
  rule.requests_per_minute = 1;
  Gate gate("alone", "", rule);
  const RateAdmission admission = gate.admit();
  EXPECT_FALSE(admission.permit);
  EXPECT_FALSE(admission.refused);
  EXPECT_FALSE(admission.status.requests);
}

}  // namespace
}  // namespace tidegate::gateway
