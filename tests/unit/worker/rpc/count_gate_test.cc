#include "worker/rpc/count_gate.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/core/metrics.h"

namespace tidegate::worker::count_gate_test {
namespace {

struct Gate {
  double waiting() const { return registry.value("tidegate_worker_counts_waiting"); }
  double refused() const { return registry.value("tidegate_worker_counts_refused_total"); }

  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  std::shared_ptr<CountGate> gate = CountGate::create({.prompts_max = 2, .bytes_max = 100}, metrics);
};

TEST(CountGate, AsManyPromptsAsItTakesAreInAtOnce) {
  Gate world;
  auto first = world.gate->enter(1);
  const auto second = world.gate->enter(1);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(world.gate->enter(1));
  EXPECT_EQ(world.waiting(), 2);
  EXPECT_EQ(world.refused(), 1);
  first.reset();
  EXPECT_TRUE(world.gate->enter(1)) << "who is counted makes room";
  EXPECT_EQ(world.waiting(), 1) << "that one has left again";
}

TEST(CountGate, TheirBytesAreBoundedToo) {
  Gate world;
  const auto first = world.gate->enter(60);
  EXPECT_FALSE(world.gate->enter(41));
  EXPECT_TRUE(world.gate->enter(40));
}

TEST(CountGate, APromptLargerThanAllOfItIsTakenAlone) {
  Gate world;
  {
    const auto small = world.gate->enter(1);
    EXPECT_FALSE(world.gate->enter(101));
  }
  const auto large = world.gate->enter(101);
  EXPECT_TRUE(large);
  EXPECT_FALSE(world.gate->enter(1)) << "it fills the gate";
}

TEST(CountGate, APlaceOutlivesTheServiceThatGaveIt) {
  Gate world;
  auto place = world.gate->enter(1);
  world.gate.reset();
  std::optional<CountGate::Place> moved = std::move(place);
  moved.reset();
  EXPECT_EQ(world.waiting(), 0);
}

}  // namespace
}  // namespace tidegate::worker::count_gate_test
