#include "scheduler/core/fleet_types.h"

#include <fmt/format.h>

#include <charconv>

#include "base/core/encoding.h"

namespace tidegate::scheduler {

RevisionSpec spec_of(const Deployment& deployment) {
  return {.model = deployment.model,
          .variant = deployment.variant,
          .region = deployment.region,
          .pool = deployment.pool,
          .threads = deployment.threads,
          .sequences_max = deployment.sequences_max,
          .options = deployment.options};
}

void set_spec(Deployment& deployment, const RevisionSpec& spec) {
  deployment.model = spec.model;
  deployment.variant = spec.variant;
  deployment.region = spec.region;
  deployment.pool = spec.pool;
  deployment.threads = spec.threads;
  deployment.sequences_max = spec.sequences_max;
  deployment.options = spec.options;
}

const std::string& public_model(const Deployment& deployment) {
  return deployment.serves.empty() ? deployment.model : deployment.serves;
}

std::string replica_name(std::string_view deployment, std::int32_t revision, std::int32_t ordinal) {
  if (revision <= 1) return fmt::format("{}-{}", deployment, ordinal);
  return fmt::format("{}.{}-{}", deployment, revision, ordinal);
}

std::int32_t revision_of(std::string_view replica) {
  const auto dot = replica.find('.');
  if (dot == std::string_view::npos) return 1;
  std::int32_t revision = 1;
  const auto parsed = std::from_chars(replica.data() + dot + 1, replica.data() + replica.size(), revision);
  return parsed.ec == std::errc() ? revision : 1;
}

std::string_view deployment_of(std::string_view replica) {
  const auto dot = replica.find('.');
  return replica.substr(0, dot != std::string_view::npos ? dot : replica.rfind('-'));
}

std::string arm_name(std::string_view deployment, std::int32_t revision) {
  return deployment.empty() ? std::string() : fmt::format("{}.{}", deployment, revision);
}

std::string_view rollout_phase_name(RolloutPhase phase) {
  switch (phase) {
    case RolloutPhase::kNone: return "none";
    case RolloutPhase::kRolling: return "rolling";
    case RolloutPhase::kWaiting: return "waiting";
    case RolloutPhase::kBack: return "back";
    case RolloutPhase::kFailed: return "failed";
  }
  return "none";
}

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
