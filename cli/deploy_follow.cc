#include "cli/deploy_follow.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <map>

#include "base/core/clock.h"
#include "cli/duration_text.h"

namespace tidegate::cli {

namespace {

using Fleet = v1::FleetAdmin::Stub;

constexpr int kLookEveryMs = 200;
/// A crash loop shows itself as "degraded"; a replica that is just replaced does so for a moment.
constexpr auto kDegradedFor = std::chrono::seconds(10);
constexpr auto kAwayFor = std::chrono::seconds(30);

double mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::string phase_text(const v1::ReplicaProgress& progress) {
  std::string text = progress.phase();
  if (progress.bytes_total() > 0 && progress.phase() != "healthy") {
    text += fmt::format(" {:.0f} of {:.0f} MiB", mib(progress.bytes()), mib(progress.bytes_total()));
  }
  if (progress.phase() == "healthy")
    text += fmt::format(" {} {}", progress.variant(), progress.weights_digest().substr(0, 19));
  if (!progress.message().empty()) text += ": " + progress.message();
  return text;
}

std::string rollout_text(const v1::Rollout& rollout) {
  std::string text = fmt::format("revision {} {}", rollout.revision(), rollout.phase());
  if (rollout.steps_size() > 0) {
    text += fmt::format(", {} % of the traffic", rollout.share_percent());
  } else {
    text += fmt::format(", {} replaced", rollout.done());
  }
  text += fmt::format(", {} of {} replicas ready", rollout.replicas_ready(), rollout.replicas_wanted());
  if (!rollout.why().empty()) text += ": " + rollout.why();
  return text;
}

/// Says each change once.
class Teller {
 public:
  Teller(bool is_silent, Mono began) : is_silent_(is_silent), began_(began) {}

  void tell(const v1::Deployment& deployment, Mono now) {
    for (const auto& progress : deployment.progress()) {
      // The bytes of a phase change all the time: the phase is what is told.
      const std::string key = progress.phase() + progress.message();
      std::string& before = phases_[progress.replica()];
      if (before == key) continue;
      before = key;
      line(now, fmt::format("{:<24} {}", progress.replica(), phase_text(progress)));
    }
    std::erase_if(phases_, [&](const auto& known) {
      for (const auto& progress : deployment.progress()) {
        if (progress.replica() == known.first) return false;
      }
      line(now, fmt::format("{:<24} gone", known.first));
      return true;
    });
    const std::string rollout = deployment.has_rollout() ? rollout_text(deployment.rollout()) : std::string();
    if (rollout == rollout_) return;
    rollout_ = rollout;
    if (!rollout.empty()) line(now, rollout);
  }
  void line(Mono now, const std::string& text) const {
    if (is_silent_) return;
    fmt::print("{:7.1f} s  {}\n", std::chrono::duration<double>(now - began_).count(), text);
  }

 private:
  bool is_silent_;
  Mono began_;
  std::map<std::string, std::string> phases_;
  std::string rollout_;
};

const v1::Deployment* find_named(const v1::ListDeploymentsResponse& list, const std::string& name) {
  for (const auto& each : list.deployments()) {
    if (each.name() == name && each.status() != "deleting") return &each;
  }
  return nullptr;
}

/// The old revision's replicas may still finish their streams.
bool is_whole(const v1::Deployment& deployment) {
  if (deployment.has_rollout() || (deployment.status() != "ready" && !deployment.drained())) return false;
  for (const auto& progress : deployment.progress()) {
    if (progress.phase() != "healthy") return false;
  }
  return true;
}

}  // namespace

Status read_rollout(const Arguments& arguments, v1::Deployment& wanted) {
  if (arguments.has("steps") && arguments.has("canary")) {
    return fail(Code::kInvalidArgument, "bad_usage", "--canary P is --steps P: give one of them", "canary");
  }
  for (const std::string& step : split_list(arguments.option("steps", arguments.option("canary")))) {
    std::int32_t percent = 0;
    const auto parsed = std::from_chars(step.data(), step.data() + step.size(), percent);
    if (parsed.ec != std::errc() || parsed.ptr != step.data() + step.size()) {
      return fail(Code::kInvalidArgument, "bad_usage", fmt::format("a step is a percent such as 10, not '{}'", step),
                  "steps");
    }
    wanted.add_rollout_steps(percent);
  }
  if (!arguments.has("hold")) return {};
  TG_ASSIGN(const std::chrono::microseconds hold, parse_span(arguments.option("hold"), "hold"));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(hold).count();
  if (seconds > 86'400) return fail(Code::kInvalidArgument, "bad_usage", "--hold is at most 24h", "hold");
  wanted.set_rollout_hold_s(static_cast<std::int32_t>(seconds));
  return {};
}

bool wants_follow(const Arguments& arguments) {
  if (arguments.has("no-wait")) return false;
  return arguments.has("wait") || (!arguments.wants_json() && ::isatty(STDOUT_FILENO) != 0);
}

Result<v1::Deployment> follow_deployment(const Arguments& arguments, Connection& connection,
                                         const v1::Deployment& made) {
  TG_ASSIGN(const std::chrono::microseconds limit, parse_span(arguments.option("wait-limit", "30m"), "wait-limit"));
  const std::int32_t revision = made.has_rollout() ? made.rollout().revision() : made.revision();
  const SystemClock clock;
  const Mono began = clock.mono();
  Teller teller(arguments.wants_json(), began);
  Mono answered = began;
  Mono sound = began;
  std::string why_back;
  v1::Deployment last = made;
  for (;; ::poll(nullptr, 0, kLookEveryMs)) {
    const Mono now = clock.mono();
    const auto list = connection.call(&Fleet::ListDeployments, connection.fleet(), v1::ListDeploymentsRequest());
    if (!list) {
      // A scheduler that is replaced answers again in a moment, and the rollout goes on with it.
      if (list.error().code != Code::kUnavailable || now - answered > kAwayFor) return fail(list.error());
      continue;
    }
    answered = now;
    const v1::Deployment* found = find_named(*list, made.name());
    if (found == nullptr) {
      return fail(Code::kNotFound, "unknown_deployment",
                  fmt::format("deployment '{}' was removed meanwhile", made.name()), "name");
    }
    last = *found;
    teller.tell(last, now);
    if (last.has_rollout() && last.rollout().phase() == "back") why_back = last.rollout().why();
    if (last.has_rollout() && last.rollout().phase() == "waiting") return last;
    if (last.has_rollout() && last.rollout().phase() == "failed") {
      return fail(Code::kFailedPrecondition, "rollout_failed",
                  fmt::format("revision {} failed: {}", last.rollout().revision(), last.rollout().why()));
    }
    if (is_whole(last)) {
      if (last.revision() >= revision) return last;
      // Its own end, or one that came between two looks.
      return fail(Code::kFailedPrecondition, "rolled_back",
                  fmt::format("revision {} went back: {}; revision {} serves", revision,
                              why_back.empty() ? "it was asked for, or it failed" : why_back, last.revision()));
    }
    if (last.status() != "degraded" || last.has_rollout()) sound = now;
    if (now - sound > kDegradedFor) return fail(Code::kUnavailable, "degraded", last.message());
    if (now - began > limit) {
      return fail(Code::kDeadlineExceeded, "not_ready",
                  fmt::format("not whole after {}: {}", arguments.option("wait-limit", "30m"), deployment_line(last)));
    }
  }
}

std::string deployment_line(const v1::Deployment& deployment) {
  std::string text =
      fmt::format("deployment {}: {} {} x{} in {}/{}, revision {}, {}", deployment.name(), deployment.model(),
                  deployment.variant(), deployment.replicas(), deployment.region(), deployment.pool(),
                  deployment.revision(), deployment.drained() ? "drained" : deployment.status());
  if (!deployment.serves().empty() && deployment.serves() != deployment.model()) text += " as " + deployment.serves();
  if (deployment.has_rollout()) text += "; " + rollout_text(deployment.rollout());
  return text;
}

}  // namespace tidegate::cli
