#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/rate_limiter.h"
#include "tests/support/gateway/rate_server.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {

/// A rule of one tenant, of everybody in these tests.
inline RateRule rate_rule(std::uint64_t n) {
  RateRule rule;
  rule.id = tidegate::test::SequentialIds::make(n);
  rule.tenant = TenantId{tidegate::test::SequentialIds::make(900)};
  return rule;
}
inline RateRule requests_rule(std::int64_t limit, std::uint64_t n = 1) {
  RateRule rule = rate_rule(n);
  rule.requests_per_minute = limit;
  return rule;
}
inline RateRule tokens_rule(std::int64_t limit, std::uint64_t n = 2) {
  RateRule rule = rate_rule(n);
  rule.tokens_per_minute = limit;
  return rule;
}
inline RateRule slots_rule(std::int64_t limit, std::uint64_t n = 3) {
  RateRule rule = rate_rule(n);
  rule.concurrency = limit;
  return rule;
}

inline RateDemand rate_demand(std::vector<RateRule> rules, std::int64_t tokens = 1) {
  const auto all = std::make_shared<const RateRules>(std::move(rules));
  RateDemand demand;
  demand.rules = all;
  demand.tokens = tokens;
  const auto id = [](std::uint64_t n) { return tidegate::test::SequentialIds::make(n); };
  all->find(TenantId{id(900)}, ProjectId{id(901)}, ApiKeyId{id(902)}, "m", demand.binding);
  return demand;
}

/// One gateway's limiter and its conversation with the server, which takes no time.
struct RateGateway {
  RateGateway(std::string id_in, RateServer& server_in, Mono now, std::int64_t gateways = 1, std::uint64_t epoch_in = 1)
      : id(std::move(id_in)),
        server(server_in),
        epoch(epoch_in),
        limiter(options_of(gateways), wall_from_unix_micros(server_in.now_ms * 1'000), now) {}

  static RateLimiterOptions options_of(std::int64_t gateways) {
    RateLimiterOptions options;
    options.gateways = gateways;
    return options;
  }

  void note(std::vector<RateLimiter::Wake> wakes) {
    for (auto& [ticket, decision] : wakes) decided[ticket] = std::move(decision);
  }
  /// Says all there is to say. With the server down each attempt fails.
  void talk(Mono now) {
    for (int i = 0; i < 100; ++i) {
      const auto call = limiter.next_call(now);
      if (!call) return;
      if (is_cut) {
        note(limiter.on_failure(/*is_unsent=*/true, now));
      } else {
        note(limiter.on_reply(server.run(id, epoch, *call), now));
      }
    }
    ADD_FAILURE() << "it never falls silent";
  }
  RateDecision ask(RateDemand demand, Mono now) {
    const RateTicket ticket = next_ticket++;
    RateDecision decision = limiter.admit_or_wait(ticket, std::move(demand), now + std::chrono::milliseconds(50), now);
    talk(now);
    if (decision.verdict != RateVerdict::kShort) return decision;
    EXPECT_TRUE(decided.contains(ticket));
    return decided[ticket];
  }
  bool admits(const RateDemand& demand, Mono now) { return ask(demand, now).verdict == RateVerdict::kAdmitted; }

  const std::string id;
  RateServer& server;
  const std::uint64_t epoch;
  RateLimiter limiter;
  bool is_cut = false;
  RateTicket next_ticket = 1;
  std::map<RateTicket, RateDecision> decided;
};

/// A server and a clock that both move only when told to.
struct RateHouse : testing::Test {
  Mono now{std::chrono::seconds(1'000)};
  RateServer server;

  void advance(std::chrono::milliseconds span) {
    now += span;
    server.now_ms += span.count();
  }
  std::unique_ptr<RateGateway> open(const std::string& id, std::int64_t gateways = 1, std::uint64_t epoch = 1) {
    auto gateway = std::make_unique<RateGateway>(id, server, now, gateways, epoch);
    gateway->talk(now);
    EXPECT_TRUE(gateway->limiter.is_shared());
    return gateway;
  }
};

}  // namespace tidegate::gateway::test
