#pragma once

#include <cstdint>
#include <string>

#include "cli/arguments.h"
#include "cli/connection.h"

namespace tidegate::cli {

/// Reads --steps 10,100, --canary P (one step of P) and --hold SPAN into an edit. Fails: invalid_argument/bad_usage.
Status read_rollout(const Arguments& arguments, v1::Deployment& wanted);

/// Whether a command that changed a deployment watches it: with --wait; on a terminal also without, unless --no-wait.
bool wants_follow(const Arguments& arguments);

/// Prints what the replicas of a deployment really do, until the revision that `made` began serves whole, or waits for a
/// promotion. Silent with --json. Fails: failed_precondition/{rolled_back, rollout_failed}, unavailable/degraded, deadline_exceeded/not_ready
/// after --wait-limit (30m), not_found/unknown_deployment.
Result<v1::Deployment> follow_deployment(const Arguments& arguments, Connection& connection, const v1::Deployment& made);

/// One line: what it is and where its rollout stands.
std::string deployment_line(const v1::Deployment& deployment);

}  // namespace tidegate::cli
