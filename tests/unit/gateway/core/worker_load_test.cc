#include "gateway/core/worker_load.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kRate = 1'000;
const Mono kStart{seconds(100)};

TEST(WorkerLoad, AStartCountsFromTheMomentItIsDecided) {
  WorkerLoad load;
  EXPECT_EQ(load.reserve(500), 1U);
  EXPECT_EQ(load.reserve(200), 2U);
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 700);
  EXPECT_EQ(load.sequences(), 2);
  EXPECT_EQ(load.starts(), 2U);
}

TEST(WorkerLoad, AStartCountsOnceWhetherReportedOrReserved) {
  WorkerLoad load;
  load.reserve(500);
  load.reserve(200);
  load.report({.tokens_queued = 480, .sequences_running = 0, .starts_seen = 1}, kStart);
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 680) << "the first is in the report, in the worker's own count";
  load.report({.tokens_queued = 0, .tokens_prefilling = 670, .sequences_running = 2, .starts_seen = 2}, kStart);
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 670);
  EXPECT_EQ(load.sequences(), 2);
  load.release(1);
  load.release(2);
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 670) << "released already";
}

TEST(WorkerLoad, AWorkerThatCountsNoStartsIsBelievedOnceItSpeaksOfThem) {
  WorkerLoad load;
  load.reserve(500);
  load.report({.tokens_queued = 100}, kStart);
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 600);
  load.release(1);
  load.release(1);
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 100);
}

TEST(WorkerLoad, AReportAgesAsTheWorkerWorks) {
  WorkerLoad load;
  load.report({.tokens_queued = 600, .tokens_prefilling = 400}, kStart);
  EXPECT_EQ(load.tokens_ahead(kStart + milliseconds(250), kRate), 750);
  EXPECT_EQ(load.tokens_ahead(kStart + seconds(9), kRate), 0);
  load.reserve(50);
  EXPECT_EQ(load.tokens_ahead(kStart + seconds(9), kRate), 50) << "what it has not got yet cannot be done";
}

TEST(WorkerLoad, ANewSessionStartsEmptyButRemembersWhatWasGiven) {
  WorkerLoad load;
  load.reserve(500);
  load.report({.tokens_queued = 600, .sequences_running = 3}, kStart);
  load.reset();
  EXPECT_EQ(load.tokens_ahead(kStart, kRate), 0);
  EXPECT_EQ(load.sequences(), 0);
  EXPECT_EQ(load.starts(), 0U);
  EXPECT_EQ(load.tokens_lifetime(), 500);
}

TEST(PrefillPace, IsToldElseMeasuredElseAssumed) {
  PrefillPace pace;
  const double assumed = pace.tokens_per_second();
  EXPECT_GT(assumed, 0);
  pace.observe(10, milliseconds(1));
  EXPECT_EQ(pace.tokens_per_second(), assumed) << "a short prompt measures the network";
  for (int i = 0; i < 50; ++i) pace.observe(2'000, seconds(1));
  EXPECT_NEAR(pace.tokens_per_second(), 2'000, 1);
  pace.told(9'000);
  EXPECT_EQ(pace.tokens_per_second(), 9'000);
}

}  // namespace
}  // namespace tidegate::gateway
