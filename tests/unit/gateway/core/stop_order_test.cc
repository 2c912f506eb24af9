#include "gateway/stop_order.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "base/core/clock.h"

namespace tidegate::gateway {
namespace {

Deadline far_off() { return Deadline::after(SystemClock().mono(), std::chrono::hours(1)); }
Deadline long_gone() { return Deadline::at(Mono()); }

TEST(StopOrder, TheFirstBeginsTheStopAndIsNotAtOnce) {
  StopOrder order;
  auto begun = std::async(std::launch::async, [&] { order.wait(); });
  order.give();
  begun.get();
  EXPECT_FALSE(order.wait_at_once(long_gone()));
}

TEST(StopOrder, TheSecondEndsAWaitOfAnyLength) {
  StopOrder order;
  order.give();
  auto ended = std::async(std::launch::async, [&] { return order.wait_at_once(far_off()); });
  order.give();
  EXPECT_TRUE(ended.get());
}

TEST(StopOrder, OneAtOnceIsBoth) {
  StopOrder order;
  order.give_at_once();
  order.wait();
  EXPECT_TRUE(order.wait_at_once(far_off()));
}

TEST(StopOrder, ItIsNeverTakenBack) {
  StopOrder order;
  order.give_at_once();
  order.give();
  order.give();
  EXPECT_TRUE(order.wait_at_once(long_gone()));
}

}  // namespace
}  // namespace tidegate::gateway
