#include "scheduler/core/speed_log.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;

WorkerReport report(std::int64_t prompt, std::int64_t completion) {
  return {.model = "m", .variant = "v", .region = "r", .pool = "p", .state = WorkerState::kReady,
          .prompt_tokens_total = prompt, .completion_tokens_total = completion, .load_ms = 1200};
}

TEST(SpeedLog, KeepsTheBestOfWhatWasSeen) {
  SpeedLog log;
  const SpeedKey key("m", "v", "r", "p");
  log.note(report(0, 0), nullptr, 0s);
  EXPECT_EQ(log.speeds().at(key).decode_tokens_per_s, 0);
  EXPECT_EQ(log.speeds().at(key).load_ms, 1200);
  const WorkerReport before = report(0, 0);
  log.note(report(500, 100), &before, 500ms);
  log.note(report(10, 10), &before, 500ms);
  EXPECT_DOUBLE_EQ(log.speeds().at(key).prefill_tokens_per_s, 1000);
  EXPECT_DOUBLE_EQ(log.speeds().at(key).decode_tokens_per_s, 200);
}

TEST(SpeedLog, TooShortOrTooLongASpanOrARestartedCountSaysNothing) {
  SpeedLog log;
  const SpeedKey key("m", "v", "r", "p");
  const WorkerReport before = report(1000, 1000);
  log.note(report(2000, 2000), &before, 10ms);
  log.note(report(2000, 2000), &before, 60s);
  log.note(report(0, 0), &before, 500ms);
  EXPECT_EQ(log.speeds().at(key).decode_tokens_per_s, 0);
  WorkerReport loading = report(9000, 9000);
  loading.state = WorkerState::kLoading;
  log.note(loading, &before, 500ms);
  EXPECT_EQ(log.speeds().at(key).decode_tokens_per_s, 0);
}

}  // namespace
}  // namespace tidegate::scheduler
