// Three gateways, ten times the load a limit allows, a clock that is moved by hand: what is admitted in a window is the
// limit, to one per cent, and never more.
#include <iterator>
#include <map>

#include "base/core/random.h"
#include "gateway/core/rate_limiter.h"
#include "tests/unit/gateway/core/rate_house.h"

namespace tidegate::gateway::rate_load_test {
namespace {

using std::chrono::milliseconds;
using test::rate_demand;

constexpr std::int64_t kMinute = 60'000;

class RateLoadTest : public test::RateHouse {
 protected:
  RateLoadTest() {
    for (const char* id : {"a", "b", "c"}) gateways.push_back(open(id));
  }
  test::RateGateway& any() { return *gateways[rng.below(gateways.size())]; }
  /// Time goes on in steps; whoever has something to say says it.
  void step(milliseconds span) {
    advance(span);
    for (auto& gateway : gateways) gateway->talk(now);
  }
  std::int64_t window() const { return server.now_ms / kMinute; }

  Rng rng{11};
  std::vector<std::unique_ptr<test::RateGateway>> gateways;
};

TEST_F(RateLoadTest, RequestsPerMinuteAreExact) {
  const auto demand = rate_demand({test::requests_rule(600)});
  std::map<std::int64_t, std::int64_t> admitted;
  for (int i = 0; i < 18'000; ++i) {  // a hundred a second for three minutes
    admitted[window()] += any().admits(demand, now) ? 1 : 0;
    step(milliseconds(10));
  }
  ASSERT_GE(admitted.size(), 3u);
  int full = 0;
  for (const auto& [minute, count] : admitted) {
    if (++full > 3) break;  // the last one has just begun
    EXPECT_LE(count, 600) << minute;
    EXPECT_GE(count, 594) << minute;
  }
}

TEST_F(RateLoadTest, ALimitOnOneGatewaysLoadIsNotCutIntoThirds) {
  const auto demand = rate_demand({test::requests_rule(600)});
  std::int64_t admitted = 0;
  for (int i = 0; i < 5'900; ++i) {
    admitted += gateways[0]->admits(demand, now) ? 1 : 0;
    step(milliseconds(10));
  }
  EXPECT_EQ(admitted, 600);
}

TEST_F(RateLoadTest, TokensUsedInAMinuteAreTheLimitAlthoughEveryRequestHoldsFarMoreAtFirst) {
  constexpr std::int64_t kLimit = 1'000'000;
  struct Open {
    test::RateGateway* gateway;
    RateHold hold;
    std::int64_t used;
    std::int64_t minute;
    Mono ends;
  };
  std::vector<Open> open_requests;
  std::map<std::int64_t, std::int64_t> used;
  const std::int64_t first = window();
  for (int i = 0; i < 24'000; ++i) {  // two hundred a second for two minutes
    const auto bound = static_cast<std::int64_t>(1'000 + rng.below(2'000));
    test::RateGateway& gateway = any();
    RateDecision decision = gateway.ask(rate_demand({test::tokens_rule(kLimit)}, bound), now);
    if (decision.verdict == RateVerdict::kAdmitted) {
      const std::int64_t really = bound * 4 / 10;
      open_requests.push_back({&gateway, std::move(decision.hold), really, window(), now + milliseconds(300)});
      used[window()] += really;
    }
    std::vector<Open> still;
    for (Open& one : open_requests) {
      if (one.ends <= now) {
        one.gateway->limiter.settle(one.hold, one.used);
      } else {
        still.push_back(std::move(one));
      }
    }
    open_requests.swap(still);
    step(milliseconds(5));
  }
  for (const std::int64_t minute : {first, first + 1}) {
    EXPECT_LE(used[minute], kLimit) << minute;
    EXPECT_GE(used[minute], kLimit * 99 / 100) << minute;
  }
}

TEST_F(RateLoadTest, RequestsAtOnceNeverPassTheLimitAndHardlyFallBelowIt) {
  constexpr std::int64_t kLimit = 12;
  struct Open {
    test::RateGateway* gateway;
    RateHold hold;
    Mono ends;
  };
  std::vector<Open> running;
  std::int64_t sum = 0, looks = 0;
  const auto demand = rate_demand({test::slots_rule(kLimit)});
  for (int i = 0; i < 20'000; ++i) {
    test::RateGateway& gateway = any();
    RateDecision decision = gateway.ask(demand, now);
    if (decision.verdict == RateVerdict::kAdmitted) {
      const auto takes = milliseconds(200 + static_cast<std::int64_t>(rng.below(2'000)));
      running.push_back({&gateway, std::move(decision.hold), now + takes});
    }
    ASSERT_LE(std::ssize(running), kLimit);
    std::vector<Open> still;
    for (Open& one : running) {
      if (one.ends <= now) {
        one.gateway->limiter.release(one.hold, now);
      } else {
        still.push_back(std::move(one));
      }
    }
    running.swap(still);
    step(milliseconds(5));
    if (i < 1'000) continue;
    sum += std::ssize(running);
    ++looks;
  }
  EXPECT_GE(sum, looks * kLimit * 9 / 10) << "a free slot is found again within a tenth of a second";
}

TEST_F(RateLoadTest, AnOutageInTheMiddleOfAMinuteNeverOpensTheLimit) {
  const auto demand = rate_demand({test::requests_rule(600)});
  std::map<std::int64_t, std::int64_t> admitted;
  for (int i = 0; i < 18'000; ++i) {
    const bool is_cut = i > 300 && i < 9'000;  // from the third second on, while the limit is being used up
    for (auto& gateway : gateways) gateway->is_cut = is_cut;
    admitted[window()] += any().admits(demand, now) ? 1 : 0;
    step(milliseconds(10));
  }
  for (const auto& [minute, count] : admitted) EXPECT_LE(count, 630) << minute << ": five per cent at most";
  ASSERT_GE(admitted.size(), 3u);
  EXPECT_GE(std::next(admitted.begin(), 2)->second, 540) << "nor stays it shut once Redis is back";
}

}  // namespace
}  // namespace tidegate::gateway::rate_load_test
