#include "scheduler/core/demand_book.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;

class DemandBookTest : public ::testing::Test {
 protected:
  void report(std::string gateway, std::int64_t arrivals, std::int64_t waiting = 0, std::uint64_t epoch = 1) {
    PoolDemand demand{.model = "m",
                      .region = "r",
                      .pool = "p",
                      .arrivals_total = arrivals,
                      .prompt_tokens_total = arrivals * 100,
                      .waiting = waiting,
                      .oldest_wait = waiting > 0 ? Duration(2s) : Duration(0s)};
    book.report({.gateway_id = std::move(gateway), .epoch = epoch, .pools = {demand}}, now);
  }
  DemandBook::Rates take() { return take(mine); }
  DemandBook::Rates take(DemandBook::Mark& mark) { return book.take("m", "r", "p", mark, now); }

  DemandBook book{{.gateways = 3}};
  DemandBook::Mark mine;
  Mono now{1h};
};

TEST_F(DemandBookTest, NobodyHeardIsNotTheSameAsNobodyAsking) {
  EXPECT_FALSE(take().is_known);
  now += 5s;
  EXPECT_FALSE(take().is_known);
  now += 5s;
  report("g1", 0);
  EXPECT_TRUE(take().is_known);
}

TEST_F(DemandBookTest, RatesAreWhatTheTotalsGrewByOverTheTimeBetween) {
  report("g1", 1'000'000);  // where it stands; no burst of a million
  take();
  now += 10s;
  report("g1", 1'000'050);
  const auto rates = take();
  EXPECT_DOUBLE_EQ(rates.arrivals_per_s, 5);
  EXPECT_DOUBLE_EQ(rates.prompt_tokens_per_s, 500);
}

TEST_F(DemandBookTest, ALostReportLosesNothing) {
  report("g1", 0);
  take();
  now += 5s;  // one of the reports that should have come by now did not
  take();
  now += 5s;
  report("g1", 100);
  EXPECT_DOUBLE_EQ(take().arrivals_per_s, 20);
}

TEST_F(DemandBookTest, WhoAsksTakesNothingFromAnother) {
  DemandBook::Mark other;
  report("g1", 0);
  take();
  take(other);
  now += 10s;
  report("g1", 50);
  EXPECT_DOUBLE_EQ(take().arrivals_per_s, 5);
  const auto second = take(other);  // at the same instant
  EXPECT_TRUE(second.is_known);
  EXPECT_DOUBLE_EQ(second.arrivals_per_s, 5);
  now += 5s;
  EXPECT_DOUBLE_EQ(take().arrivals_per_s, 0) << "it has been counted to this one";
}

TEST_F(DemandBookTest, GatewaysAddUpAndARestartedOneCountsFromZero) {
  report("g1", 500);
  report("g2", 700);
  take();
  now += 10s;
  report("g1", 510);
  report("g2", 3, 0, 2);  // another life: only says where it stands
  EXPECT_DOUBLE_EQ(take().arrivals_per_s, 1);
  now += 10s;
  report("g2", 23, 0, 2);
  EXPECT_DOUBLE_EQ(take().arrivals_per_s, 2);
}

TEST_F(DemandBookTest, TheQueueOfASilentGatewayIsForgotten) {
  report("g1", 1, 7);
  EXPECT_EQ(take().waiting, 7);
  EXPECT_EQ(book.waiting("m", "r", "p", now), 7);
  now += 16s;
  EXPECT_EQ(take().waiting, 0);
  EXPECT_EQ(book.waiting("m", "r", "p", now), 0);
  EXPECT_FALSE(take().is_known);
  EXPECT_EQ(book.gateways(now), 0u);
}

TEST_F(DemandBookTest, MoreGatewaysThanTheLimitAreNotTaken) {
  for (const char* name : {"a", "b", "c", "d"}) report(name, 1, 1);
  EXPECT_EQ(take().waiting, 3);
}

}  // namespace
}  // namespace tidegate::scheduler
