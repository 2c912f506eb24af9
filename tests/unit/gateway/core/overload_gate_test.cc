#include "gateway/core/overload_gate.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <vector>

namespace tidegate::gateway::overload_gate_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Mono at(Duration since_start) { return Mono(seconds(1'000)) + since_start; }

TEST(OverloadGate, OnlyABacklogThatStandsIsAnOverload) {
  OverloadGate gate({});
  gate.observe(seconds(50), at({}));
  gate.observe(seconds(50), at(milliseconds(900)));
  EXPECT_FALSE(gate.is_overloaded()) << "a burst, so far";
  EXPECT_EQ(gate.wait_allowed(false), seconds(60));
  gate.observe(milliseconds(1'900), at(milliseconds(950)));
  gate.observe(seconds(50), at(seconds(1)));
  gate.observe(seconds(50), at(milliseconds(1'950)));
  EXPECT_FALSE(gate.is_overloaded()) << "it had drained between";
  gate.observe(seconds(50), at(seconds(2)));
  EXPECT_TRUE(gate.is_overloaded());
  EXPECT_EQ(gate.wait_allowed(false), seconds(2));
  EXPECT_EQ(gate.wait_allowed(true), seconds(4)) << "room for who comes back";
  gate.observe(milliseconds(1'100), at(seconds(3)));
  EXPECT_TRUE(gate.is_overloaded()) << "under the target, and not yet under half of it";
  gate.observe(milliseconds(900), at(seconds(4)));
  EXPECT_FALSE(gate.is_overloaded());
}

TEST(OverloadGate, AnUnknownBacklogIsNoOverload) {
  OverloadGate gate({});
  gate.observe(seconds(50), at({}));
  gate.observe(seconds(50), at(seconds(2)));
  ASSERT_TRUE(gate.is_overloaded());
  gate.observe(std::nullopt, at(seconds(3)));
  EXPECT_FALSE(gate.is_overloaded());
}

TEST(OverloadGate, TheRefusedAreSpreadOverTheTimeTheyNeed) {
  OverloadGate gate({});
  // Each costs a twentieth of a second of all workers: an eighth of what leaves is kept for them, so one every 0.4 s.
  std::vector<double> told;
  for (int i = 0; i < 100; ++i) {
    told.push_back(std::chrono::duration<double>(gate.refuse(seconds(0), milliseconds(50), at({}))).count());
  }
  std::map<int, int> per_ten_seconds;
  for (const double when : told) ++per_ten_seconds[static_cast<int>(when / 10)];
  for (int ten = 1; ten < 4; ++ten) EXPECT_LE(per_ten_seconds[ten], 27) << ten;
  EXPECT_GE(told.back(), 39);
  EXPECT_LE(told.back(), 50);
}

TEST(OverloadGate, PromisesArePaidAsTimeGoes) {
  OverloadGate gate({});
  for (int i = 0; i < 40; ++i) gate.refuse(seconds(0), milliseconds(100), at({}));
  EXPECT_NEAR(std::chrono::duration<double>(gate.promised(at({}))).count(), 4, 0.01);
  EXPECT_NEAR(std::chrono::duration<double>(gate.promised(at(seconds(8)))).count(), 3, 0.01);
  EXPECT_EQ(gate.promised(at(seconds(33))), Duration::zero());
}

TEST(OverloadGate, WhoIsToldMoreThanAMinuteIsNotWaitedFor) {
  OverloadGate gate({});
  for (int i = 0; i < 10'000; ++i) gate.refuse(seconds(0), milliseconds(100), at({}));
  EXPECT_LE(gate.promised(at({})), seconds(8)) << "an eighth of a minute's work";
}

}  // namespace
}  // namespace tidegate::gateway::overload_gate_test
