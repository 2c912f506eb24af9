#include "tests/support/scheduler/fake_driver.h"

#include "tests/unit/scheduler/drivers/runtime_driver_contract.h"

namespace tidegate::scheduler {
namespace {

struct FakeWorld {
  std::shared_ptr<FakeDriver::State> state = std::make_shared<FakeDriver::State>();
  FakeDriver first{state};

  RuntimeDriver& driver() { return first; }
  std::unique_ptr<RuntimeDriver> another() { return std::make_unique<FakeDriver>(state); }
  void kill(const std::string& replica) { first.die(replica, "signal 9"); }
  Mono now() { return Mono{}; }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, RuntimeDriverContract, FakeWorld);

TEST(FakeDriver, FailsTheNextStartOnly) {
  FakeDriver driver;
  driver.fail_next_start(Error(Code::kInternal, "start_failed", "no such file"));
  EXPECT_EQ(driver.start({.replica = "d-0"}, 1).error().reason, "start_failed");
  EXPECT_TRUE(driver.start({.replica = "d-0"}, 1));
}

}  // namespace
}  // namespace tidegate::scheduler
