#include "scheduler/core/rollout.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tidegate::scheduler {

namespace {

bool has_steps(const Rollout& rollout) { return !rollout.steps.empty(); }

bool is_going_back(const Rollout& rollout) {
  return rollout.phase == RolloutPhase::kBack || rollout.phase == RolloutPhase::kFailed;
}

/// Replicas for so much of the traffic: rounded up, for a share needs somebody to have it.
std::int32_t replicas_for(std::int32_t percent, std::int32_t wanted) {
  if (wanted == 0 || percent == 0) return 0;
  return std::clamp((wanted * percent + 99) / 100, 1, wanted);
}

/// Of the traffic now, by its steps.
std::int32_t share_of(const Rollout& rollout) {
  if (is_going_back(rollout) || rollout.done <= 0) return 0;
  return rollout.steps[static_cast<std::size_t>(rollout.done) - 1];
}

bool is_at_last_step(const Rollout& rollout) { return static_cast<std::size_t>(rollout.done) >= rollout.steps.size(); }

/// Its shares or its holds are for looking at it while it serves: it does not become the deployment while nothing runs.
bool is_to_be_seen(const Rollout& rollout) {
  return has_steps(rollout) && (rollout.steps.back() < 100 || rollout.hold_s > 0);
}

bool has_held(const Rollout& rollout, std::int32_t hold_s, Wall now) {
  return now - rollout.since >= std::chrono::seconds(hold_s);
}

/// The share that its replicas are counted for: the next step's as soon as this one was held for long enough.
std::int32_t share_ahead(const Rollout& rollout, Wall now) {
  const bool goes_on = rollout.phase == RolloutPhase::kRolling && !is_at_last_step(rollout) &&
                       (rollout.done == 0 || has_held(rollout, rollout.hold_s, now));
  if (goes_on) return rollout.steps[static_cast<std::size_t>(rollout.done)];
  return rollout.done == 0 ? 0 : rollout.steps[static_cast<std::size_t>(rollout.done) - 1];
}

/// The new revision is the deployment from here on.
Deployment finished(Deployment deployment) {
  deployment.previous = spec_of(deployment);
  set_spec(deployment, deployment.rollout.spec);
  deployment.revision = deployment.rollout.revision;
  deployment.rollout = {};
  return deployment;
}

Deployment stepped(Deployment deployment, Wall now) {
  ++deployment.rollout.done;
  deployment.rollout.since = now;
  return deployment;
}

Deployment gone_back(Deployment deployment, std::string why, Wall now) {
  deployment.rollout.phase = RolloutPhase::kBack;
  deployment.rollout.since = now;
  deployment.rollout.why = std::move(why);
  deployment.rollout.serves_more = false;
  return deployment;
}

/// The going back does not end by itself. Nothing is stopped: both revisions keep what they have, and the old one's
/// replicas are started again as ever.
Deployment failed(Deployment deployment, const RolloutView& view, Wall now) {
  Rollout& rollout = deployment.rollout;
  const std::string reason =
      view.stable_failure.empty() ? fmt::format("not within {} s", kBackLimitS) : view.stable_failure;
  rollout.why = fmt::format(
      "it went back ({}), and {} of {} replicas of revision {} serve: {}; apply, promote, roll back or drain to go on",
      rollout.why, view.stable_ready, view.wanted, deployment.revision, reason);
  // By steps it has no share any more: it is never what serves.
  rollout.serves_more = !has_steps(rollout) && rollout.done > 0 && view.candidate_ready > view.stable_ready;
  rollout.phase = RolloutPhase::kFailed;
  rollout.since = now;
  return deployment;
}

std::optional<Deployment> advance_back(const Deployment& deployment, const RolloutView& view, Wall now) {
  const Rollout& rollout = deployment.rollout;
  if (view.stable_ready >= view.wanted) {
    Deployment next = deployment;
    next.rollout = {};
    return next;
  }
  if (rollout.phase == RolloutPhase::kFailed) return std::nullopt;
  const bool is_crash_loop = !view.stable_failure.empty() && has_held(rollout, kBackCrashLoopS, now);
  if (!is_crash_loop && !has_held(rollout, kBackLimitS, now)) return std::nullopt;
  return failed(deployment, view, now);
}

std::optional<Deployment> advance_by_replicas(const Deployment& deployment, const RolloutView& view, Wall now) {
  const Rollout& rollout = deployment.rollout;
  if (rollout.done >= view.wanted) return finished(deployment);
  if (view.candidate_ready <= rollout.done || (rollout.done > 0 && !has_held(rollout, rollout.hold_s, now))) {
    return std::nullopt;
  }
  Deployment next = stepped(deployment, now);
  if (next.rollout.done >= view.wanted) return finished(std::move(next));
  return next;
}

std::optional<Deployment> advance_by_steps(const Deployment& deployment, const RolloutView& view, Wall now) {
  const Rollout& rollout = deployment.rollout;
  if (is_at_last_step(rollout)) {
    if (rollout.steps.back() < 100) {
      Deployment next = deployment;
      next.rollout.phase = RolloutPhase::kWaiting;
      return next;
    }
    const bool is_whole = view.candidate_ready >= view.wanted;
    if (!is_whole || !has_held(rollout, std::max(rollout.hold_s, kFinalHoldS), now)) return std::nullopt;
    return finished(deployment);
  }
  if (rollout.done > 0 && !has_held(rollout, rollout.hold_s, now)) return std::nullopt;
  if (view.candidate_ready < replicas_for(share_ahead(rollout, now), view.wanted)) return std::nullopt;
  Deployment next = stepped(deployment, now);
  if (is_at_last_step(next.rollout) && next.rollout.steps.back() < 100) next.rollout.phase = RolloutPhase::kWaiting;
  return next;
}

Status check_steps(const Rollout& asked) {
  if (asked.hold_s < 0 || asked.hold_s > kRolloutHoldMaxS) {
    return fail(Code::kInvalidArgument, "out_of_range",
                fmt::format("rollout_hold_s must be 0 to {}, not {}", kRolloutHoldMaxS, asked.hold_s),
                "rollout_hold_s");
  }
  std::int32_t before = 0;
  for (const std::int32_t step : asked.steps) {
    if (step <= before || step > 100) {
      return fail(Code::kInvalidArgument, "bad_steps",
                  fmt::format("rollout_steps are percents of 1 to 100, each above the one before; {} after {} is not",
                              step, before),
                  "rollout_steps");
    }
    before = step;
  }
  if (asked.steps.size() <= kRolloutStepsMax) return {};
  return fail(Code::kInvalidArgument, "bad_steps", fmt::format("at most {} rollout_steps", kRolloutStepsMax),
              "rollout_steps");
}

Deployment started(Deployment deployment, const RevisionSpec& spec, const Rollout& asked, Wall now) {
  Rollout rollout;
  rollout.phase = RolloutPhase::kRolling;
  rollout.revision = ++deployment.revisions;
  rollout.spec = spec;
  rollout.steps = asked.steps;
  rollout.hold_s = asked.hold_s;
  rollout.since = now;
  deployment.rollout = std::move(rollout);
  return deployment;
}

/// A failed one goes on from where it was.
Deployment resumed(Deployment deployment, Wall now) {
  deployment.rollout.phase = RolloutPhase::kRolling;
  deployment.rollout.since = now;
  deployment.rollout.why.clear();
  deployment.rollout.serves_more = false;
  return deployment;
}

/// What a new revision begins from: of two that were left by a failed rollout, the one of which more serve.
Deployment settled(Deployment deployment) {
  if (deployment.rollout.serves_more) return finished(std::move(deployment));
  deployment.rollout = {};
  return deployment;
}

std::unexpected<Error> rollout_running(const Deployment& deployment) {
  return fail(Code::kFailedPrecondition, "rollout_running",
              fmt::format("revision {} of '{}' is being rolled out; promote it or roll it back first",
                          deployment.rollout.revision, deployment.name),
              "name");
}

}  // namespace

RolloutTargets rollout_targets(const Deployment& deployment, std::int32_t wanted, Wall now) {
  const Rollout& rollout = deployment.rollout;
  if (rollout.phase == RolloutPhase::kNone) return {.stable = wanted};
  if (has_steps(rollout)) {
    // Going back it keeps what it has until the rollout is over: its streams go on, and nothing new comes.
    return {.stable = wanted,
            .candidate = replicas_for(share_ahead(rollout, now), wanted),
            .share_percent = share_of(rollout)};
  }
  const std::int32_t done = std::min(rollout.done, wanted);
  if (is_going_back(rollout)) return {.stable = wanted, .candidate = done};
  return {.stable = wanted - done, .candidate = std::min(wanted, done + 1)};
}

std::optional<Deployment> advance_rollout(const Deployment& deployment, const RolloutView& view, Wall now) {
  const Rollout& rollout = deployment.rollout;
  if (rollout.phase == RolloutPhase::kNone) return std::nullopt;
  if (is_going_back(rollout)) return advance_back(deployment, view, now);
  if (!view.candidate_failure.empty()) return gone_back(deployment, view.candidate_failure, now);
  if (rollout.phase == RolloutPhase::kWaiting) return std::nullopt;
  if (view.wanted == 0) {
    if (is_to_be_seen(rollout)) return std::nullopt;
    return finished(deployment);  // nothing runs that could be disturbed
  }
  return has_steps(rollout) ? advance_by_steps(deployment, view, now) : advance_by_replicas(deployment, view, now);
}

Result<Deployment> edit_deployment(const Deployment* current, const Deployment& wanted, Wall now) {
  TG_TRY(check_steps(wanted.rollout));
  if (current == nullptr) {
    if (has_steps(wanted.rollout)) {
      return fail(
          Code::kFailedPrecondition, "nothing_to_share",
          fmt::format("there is no deployment '{}' yet, so no traffic to share; leave rollout_steps away", wanted.name),
          "rollout_steps");
    }
    Deployment first = wanted;
    first.rollout = {};
    first.is_drained = false;
    first.revision = first.revisions = 1;
    first.previous.reset();
    first.version = 0;
    return first;
  }
  if (public_model(wanted) != public_model(*current)) {
    return fail(Code::kFailedPrecondition, "serves_fixed",
                fmt::format("'{0}' answers as '{1}'; say that it serves '{1}' to let {2} answer under that name, or "
                            "make another deployment",
                            current->name, public_model(*current), wanted.model),
                "serves");
  }
  Deployment next = *current;
  next.replicas = wanted.replicas;
  next.autoscale = wanted.autoscale;
  next.placement = wanted.placement;
  next.is_drained = false;
  const RevisionSpec asked = spec_of(wanted);
  const RolloutPhase phase = current->rollout.phase;
  if (asked == spec_of(*current)) {
    // The name may be written out now that was implied.
    if (phase == RolloutPhase::kNone || phase == RolloutPhase::kBack) return next;
    return gone_back(std::move(next), "the revision before was asked for again", now);
  }
  if (phase == RolloutPhase::kFailed) {
    if (asked == current->rollout.spec && current->rollout.done > 0) return resumed(std::move(next), now);
    next = settled(std::move(next));
  } else if (phase != RolloutPhase::kNone) {
    if (asked == current->rollout.spec && phase != RolloutPhase::kBack) return next;
    return rollout_running(*current);
  }
  if (has_steps(wanted.rollout) && (asked.region != next.region || asked.pool != next.pool)) {
    return fail(Code::kFailedPrecondition, "canary_elsewhere",
                fmt::format("traffic is shared within a pool; '{}' is in {}/{}: move it without rollout_steps",
                            next.name, next.region, next.pool),
                "rollout_steps");
  }
  next.serves = public_model(*current);
  return started(std::move(next), asked, wanted.rollout, now);
}

Result<Deployment> promote_rollout(Deployment deployment, bool at_once, Wall now) {
  if (deployment.rollout.phase == RolloutPhase::kFailed) deployment = resumed(std::move(deployment), now);
  Rollout& rollout = deployment.rollout;
  if (rollout.phase != RolloutPhase::kRolling && rollout.phase != RolloutPhase::kWaiting) {
    return fail(Code::kFailedPrecondition, "no_rollout",
                fmt::format("no new revision of '{}' is being rolled out", deployment.name), "name");
  }
  if (has_steps(rollout)) {
    // The step it is at stays; what was between it and everything is left out.
    rollout.steps.resize(std::min(rollout.steps.size(), static_cast<std::size_t>(rollout.done)));
    if (rollout.steps.empty() || rollout.steps.back() < 100) rollout.steps.push_back(100);
  }
  rollout.phase = RolloutPhase::kRolling;
  // A person has looked: there is nothing left to hold the next step for.
  rollout.since = now - std::chrono::seconds(rollout.hold_s);
  if (at_once) rollout.hold_s = 0;
  return deployment;
}

Result<Deployment> roll_back(Deployment deployment, std::string why, Wall now) {
  if (deployment.rollout.phase == RolloutPhase::kBack) return deployment;
  if (deployment.rollout.phase != RolloutPhase::kNone) return gone_back(std::move(deployment), std::move(why), now);
  if (!deployment.previous) {
    return fail(Code::kFailedPrecondition, "nothing_before",
                fmt::format("'{}' has had one revision only; there is none to go back to", deployment.name), "name");
  }
  const RevisionSpec before = *deployment.previous;
  return started(std::move(deployment), before, {}, now);
}

Result<Deployment> move_deployment(Deployment deployment, const PoolName& to) {
  const RolloutPhase phase = deployment.rollout.phase;
  if (phase != RolloutPhase::kNone && phase != RolloutPhase::kFailed) return rollout_running(deployment);
  deployment = settled(std::move(deployment));
  deployment.region = to.region;
  deployment.pool = to.pool;
  deployment.revision = ++deployment.revisions;
  if (!deployment.previous) return deployment;
  deployment.previous->region = to.region;
  deployment.previous->pool = to.pool;
  if (*deployment.previous == spec_of(deployment)) deployment.previous.reset();
  return deployment;
}

Result<Deployment> drain_deployment(Deployment deployment) {
  const RolloutPhase phase = deployment.rollout.phase;
  if (phase != RolloutPhase::kNone && phase != RolloutPhase::kFailed) return rollout_running(deployment);
  deployment.is_drained = true;
  return deployment;
}

}  // namespace tidegate::scheduler
