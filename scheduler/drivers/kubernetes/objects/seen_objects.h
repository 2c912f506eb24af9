#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/core/clock.h"
#include "scheduler/core/fleet_types.h"

/// What we keep of the objects that a cluster shows.
namespace tidegate::scheduler::kube {

enum class WorkloadKind : std::uint8_t {
  kDeployment,  ///< a replica on one node
  kGroup,       ///< a LeaderWorkerSet: a replica over several
};

/// The object that stands for one replica.
struct SeenWorkload {
  WorkloadKind kind = WorkloadKind::kDeployment;
  std::string name;
  std::string uid;
  std::string resource_version;  ///< opaque; for preconditions
  std::string replica;
  std::string deployment;
  std::string spec_digest;
  std::string run;
  Term term = 0;          ///< under which it was written last
  bool deleting = false;  ///< asked to go; it stays until its pods have gone
};

enum class PodLife : std::uint8_t {
  kPending,  ///< has not run yet
  kRunning,
  kEnded,  ///< its container ended, and waits to be started again or not at all
};

struct SeenPod {
  std::string name;
  std::string uid;
  std::string workload;  ///< object name
  std::string run;
  std::string created_at;  ///< RFC 3339: sorts by time
  bool is_leader = true;
  bool deleting = false;
  PodLife life = PodLife::kPending;
  std::int64_t restarts = 0;
  std::string exit;       ///< how its container ended last: "exit status 1", "signal 9"; empty: it never did
  std::string waits_for;  ///< of a pending one: "0/3 nodes are available: ..."; empty: nothing is known
};

struct SeenLease {
  std::string resource_version;
  std::string holder;
  Term term = 0;
};

}  // namespace tidegate::scheduler::kube
