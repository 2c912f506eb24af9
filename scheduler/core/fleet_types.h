#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "scheduler/core/autoscale_policy.h"
#include "scheduler/core/placement_policy.h"

/// The fleet's nouns as the pure core sees them. The same words as proto/tidegate/v1/fleet.proto.
namespace tidegate::scheduler {

/// One WorkerLink stream. Minted by the service, never reused within a process.
using LinkId = std::uint64_t;
/// Of the scheduler's lease; grows with every new leader.
using Term = std::uint64_t;

enum class WorkerState : std::uint8_t { kLoading, kReady, kDraining, kFailed };

struct WorkerReport {
  std::string worker_id;
  std::string deployment;  ///< empty: started by hand, routed but never managed
  std::string replica;
  std::string address;
  std::string model;
  std::string variant;
  std::string engine;
  std::string weights_digest;
  std::string region;
  std::string pool;
  WorkerState state = WorkerState::kLoading;
  std::int32_t context_max = 0;
  std::int32_t sequences_max = 0;
  std::int32_t sequences_running = 0;
  std::int64_t kv_tokens_used = 0;
  std::int64_t kv_tokens_capacity = 0;
  Term term_seen = 0;
  std::int64_t steps_total = 0;
  std::int64_t prompt_tokens_total = 0;
  std::int64_t completion_tokens_total = 0;
  std::string phase;  ///< "pull" | "verify" | "load" | "warm" | "healthy"; empty from a worker that does not say
  std::int64_t phase_bytes = 0;
  std::int64_t phase_bytes_total = 0;
  std::int64_t phase_ms = 0;
  std::int64_t load_ms = 0;  ///< from start to ready; 0 before
};

struct Route {
  std::string worker_id;
  std::string address;
  std::string model;
  std::string variant;
  std::string engine;
  std::string weights_digest;
  std::string region;
  std::string pool;
  std::int32_t context_max = 0;
  std::int32_t sequences_max = 0;
  bool draining = false;  ///< keep what runs, start nothing
  std::string arm;        ///< arm_name(); empty for a worker started by hand

  bool operator==(const Route&) const = default;
};

/// What makes one revision of a deployment differ from another: a change of it is rolled out. How many replicas there
/// are is not part of it.
struct RevisionSpec {
  std::string model;
  std::string variant;
  std::string region;
  std::string pool;
  std::int32_t threads = 0;
  std::int32_t sequences_max = 0;
  std::vector<std::string> options;

  bool operator==(const RevisionSpec&) const = default;
};

enum class RolloutPhase : std::uint8_t {
  kNone,
  kRolling,  ///< goes on by itself
  kWaiting,  ///< at its last step, until it is promoted
  kBack,     ///< goes back to the stable revision
  kFailed,   ///< went back, and the stable revision does not come either: what serves stays, until a person decides
};

/// A new revision on its way to be the deployment. The state machine is core/rollout.
struct Rollout {
  RolloutPhase phase = RolloutPhase::kNone;
  std::int32_t revision = 0;
  RevisionSpec spec;
  std::vector<std::int32_t> steps;  ///< shares in percent, ascending; empty: replica by replica
  std::int32_t hold_s = 0;
  std::int32_t done = 0;  ///< steps reached; without steps, replicas replaced
  Wall since{};           ///< of the last step
  std::string why;        ///< it goes back, or failed
  /// Of a failed one: the next revision takes this one's place, for more of it serve than of the stable one.
  bool serves_more = false;

  bool operator==(const Rollout&) const = default;
};

struct Deployment {
  std::string name;
  std::string model;
  std::string variant;
  std::string region = "local";
  std::string pool = "cpu";
  std::int32_t replicas = 1;
  std::int32_t threads = 0;        ///< 0 = all cores
  std::int32_t sequences_max = 0;  ///< 0 = the worker's default
  std::vector<std::string> options;  ///< "key=value"
  AutoscalePolicy autoscale;         ///< on: `replicas` is only what it begins with
  PlacementPolicy placement;         ///< on: `region` and `pool` are the scheduler's to choose
  Wall created_at{};
  std::string serves;                ///< the name it is asked for by; empty: `model`
  bool is_drained = false;           ///< no replica until the next edit
  std::int32_t revision = 1;         ///< that the fields above describe
  std::int32_t revisions = 1;        ///< numbers given so far: none is used twice
  Rollout rollout;
  std::optional<RevisionSpec> previous;  ///< what a roll-back without a rollout goes to
  std::int64_t version = 0;          ///< of what is stored; 0: not stored yet

  bool operator==(const Deployment&) const = default;
};

enum class DeploymentPhase : std::uint8_t { kPending, kStarting, kReady, kDegraded, kDeleting };

struct DeploymentStatus {
  std::int32_t replicas_ready = 0;
  DeploymentPhase phase = DeploymentPhase::kPending;
  std::string message;  ///< one sentence for a person; empty when there is nothing to say
};

RevisionSpec spec_of(const Deployment& deployment);
void set_spec(Deployment& deployment, const RevisionSpec& spec);
/// The name that its answers are asked for by.
const std::string& public_model(const Deployment& deployment);

/// "tang-0" of the first revision, "tang.2-0" of the second: no deployment's name has a dot.
std::string replica_name(std::string_view deployment, std::int32_t revision, std::int32_t ordinal);
/// The revision in a replica's name; 1 when there is none.
std::int32_t revision_of(std::string_view replica);
/// The deployment in a replica's name.
std::string_view deployment_of(std::string_view replica);
/// What traffic is divided between: "tang.2"; empty without a deployment.
std::string arm_name(std::string_view deployment, std::int32_t revision);

/// "none" | "rolling" | "waiting" | "back" | "failed"
std::string_view rollout_phase_name(RolloutPhase phase);

/// "pending" | "starting" | "ready" | "degraded" | "deleting"
std::string_view phase_name(DeploymentPhase phase);

/// Everything a runtime driver needs to run one replica.
struct ReplicaSpec {
  std::string replica;  ///< unique in the fleet: replica_name()
  std::string deployment;
  std::string model;    ///< that it is asked for by
  std::string variant;  ///< of that model; of another one "<model>/<variant>"
  std::string engine;      ///< "cpu" | "sim"
  std::string model_path;  ///< folder of the weights; empty for sim
  std::string region;
  std::string pool;
  std::int32_t threads = 0;
  std::int32_t sequences_max = 0;
  std::vector<std::string> options;

  /// Changes when a running replica must be replaced for this spec.
  std::string digest() const;
};

/// What a runtime driver sees of one replica. A replica that ended is seen, dead, until it is started again.
struct ReplicaProcess {
  std::string replica;
  std::string deployment;
  std::string spec_digest;
  std::string incarnation;  ///< differs between two runs of the same replica
  bool alive = false;
  std::string exit;         ///< of a dead one, for a person: "exit status 1", "signal 9"
  std::string waits_for;    ///< of one that is alive but has not begun to run: why, for a person; empty: nothing is known
};

}  // namespace tidegate::scheduler
