#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "scheduler/core/autoscale_policy.h"

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

  bool operator==(const Route&) const = default;
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
  Wall created_at{};

  bool operator==(const Deployment&) const = default;
};

enum class DeploymentPhase : std::uint8_t { kPending, kStarting, kReady, kDegraded, kDeleting };

struct DeploymentStatus {
  std::int32_t replicas_ready = 0;
  DeploymentPhase phase = DeploymentPhase::kPending;
  std::string message;  ///< one sentence for a person; empty when there is nothing to say
};

/// "pending" | "starting" | "ready" | "degraded" | "deleting"
std::string_view phase_name(DeploymentPhase phase);

/// Everything a runtime driver needs to run one replica.
struct ReplicaSpec {
  std::string replica;  ///< unique in the fleet: "<deployment>-<ordinal>"
  std::string deployment;
  std::string model;
  std::string variant;
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
};

}  // namespace tidegate::scheduler
