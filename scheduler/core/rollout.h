#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/core/result.h"
#include "scheduler/core/fleet_types.h"

/// How a new revision takes the place of the stable one. Pure: a deployment, what is seen of it, and the time give the
/// deployment as it is to be next, which is stored before anything acts on it. A leader that is lost between two steps
/// leaves a stored state that the next one goes on from.
///
/// Replica by replica: one more than wanted is started, of the new revision; when it serves, one of the old goes; until
/// none is left. There are never fewer that serve than before the edit.
/// By steps: the new revision runs beside the whole old one, with replicas for the share it is to have; the share is
/// given to it when they serve. After the last step, if that is 100, the old revision goes.
/// What fails again and again goes back by itself. Where the old revision does not start again either, that ends too: the
/// rollout is failed and says why, everything that serves stays, and it is over when the old revision serves whole after
/// all, or when a person applies, promotes, rolls back or drains.
namespace tidegate::scheduler {

inline constexpr std::size_t kRolloutStepsMax = 16;
inline constexpr std::int32_t kRolloutHoldMaxS = 86'400;
/// The new revision has had everything for so long before the old one goes: no gateway is still without the routes.
inline constexpr std::int32_t kFinalHoldS = 2;
/// Going back ends as failed after so long: three starts of the longest kind, and their pauses.
inline constexpr std::int32_t kBackLimitS = 3'600;
/// Or when a replica of the old revision fails again and again, and is not on its way just now, so long after the going back
/// began: longer than the pause between two starts, so that the failures are not only those of before.
inline constexpr std::int32_t kBackCrashLoopS = 60;

struct RolloutTargets {
  std::int32_t stable = 0;
  std::int32_t candidate = 0;
  /// Of the traffic, for the candidate; empty: not divided, every replica gets what it can take.
  std::optional<std::int32_t> share_percent;
};
/// How many replicas of each revision there are to be; `wanted` of the whole deployment.
RolloutTargets rollout_targets(const Deployment& deployment, std::int32_t wanted, Wall now);

struct RolloutView {
  std::int32_t wanted = 0;
  std::int32_t stable_ready = 0;
  std::int32_t candidate_ready = 0;
  std::string candidate_failure;  ///< a replica of it fails again and again, and how
  std::string stable_failure;     ///< the same of the old revision
};
/// The next state, or nothing while this one lasts.
std::optional<Deployment> advance_rollout(const Deployment& deployment, const RolloutView& view, Wall now);

/// What a person asked for, as a change of what there is; `current` null: nothing yet. Of `wanted.rollout` only steps and
/// hold_s are read. The same content twice changes nothing; a new revision starts a rollout; the stable revision's own
/// content, asked for while another is rolled out, takes that back. After a failed rollout its content goes on from where
/// it was, the stable content is tried again, and another one takes the place of the revision of which more serve.
/// Fails: invalid_argument/{bad_steps, out_of_range}, failed_precondition/{serves_fixed, rollout_running,
/// nothing_to_share, canary_elsewhere}.
Result<Deployment> edit_deployment(const Deployment* current, const Deployment& wanted, Wall now);

/// Everything to the new revision, also after it failed. `at_once`: without the holds that are left. Fails: failed_precondition/no_rollout.
Result<Deployment> promote_rollout(Deployment deployment, bool at_once, Wall now);
/// Back to the stable revision; without a rollout, to the one before. Fails: failed_precondition/nothing_before.
Result<Deployment> roll_back(Deployment deployment, std::string why, Wall now);
/// All of it to another pool at once: nothing of it serves where it is. A failed rollout is over with it, and what a
/// roll-back goes to moves along. Fails: failed_precondition/rollout_running.
Result<Deployment> move_deployment(Deployment deployment, const PoolName& to);
/// No replica any more, until the next edit; a failed rollout is over with it. Fails: failed_precondition/rollout_running.
Result<Deployment> drain_deployment(Deployment deployment);

}  // namespace tidegate::scheduler
