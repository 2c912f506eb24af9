#include "scheduler/core/fleet_types.h"

#include <gmock/gmock.h>

namespace tidegate::scheduler {
namespace {

TEST(ReplicaSpec, DigestChangesWithWhatARunningReplicaCannotTakeOver) {
  ReplicaSpec spec{.replica = "a-0", .deployment = "a", .model = "m", .variant = "fp8", .engine = "cpu"};
  ReplicaSpec other = spec;
  other.replica = "a-1";
  EXPECT_EQ(spec.digest(), other.digest()) << "replicas of one deployment run the same spec";
  other.threads = 2;
  EXPECT_NE(spec.digest(), other.digest());
  other = spec;
  other.options = {"sim.step_ms=5"};
  EXPECT_NE(spec.digest(), other.digest());
}

TEST(DeploymentPhase, NamesAreThoseOfTheWire) {
  EXPECT_EQ(phase_name(DeploymentPhase::kDegraded), "degraded");
  EXPECT_EQ(phase_name(DeploymentPhase::kDeleting), "deleting");
}

}  // namespace
}  // namespace tidegate::scheduler
