#include "scheduler/core/fleet_types.h"

#include <fmt/format.h>

#include "base/core/encoding.h"

namespace tidegate::scheduler {

std::string_view phase_name(DeploymentPhase phase) {
  switch (phase) {
    case DeploymentPhase::kPending: return "pending";
    case DeploymentPhase::kStarting: return "starting";
    case DeploymentPhase::kReady: return "ready";
    case DeploymentPhase::kDegraded: return "degraded";
    case DeploymentPhase::kDeleting: return "deleting";
  }
  return "";
}

std::string ReplicaSpec::digest() const {
  std::string text = fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n", model, variant, engine, model_path, region, pool,
                                 threads, sequences_max);
  for (const std::string& option : options) text += option + "\n";
  return fmt::format("{:08x}", crc32c(text));
}

}  // namespace tidegate::scheduler
