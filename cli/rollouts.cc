// What comes before and after `deploy apply`: the plan, and the ways of a new revision.

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/deploy_follow.h"
#include "cli/message_json.h"
#include "cli/text_table.h"

namespace tidegate::cli {

namespace {

using Fleet = v1::FleetAdmin::Stub;
using RolloutChange = v1::ChangeRolloutRequest;

std::string hourly_price(std::int64_t micros) {
  return micros == 0 ? "?" : fmt::format("{}.{:02}", micros / 1'000'000, micros / 10'000 % 100);
}
std::string rate(double tokens_per_s) { return tokens_per_s > 0 ? fmt::format("{:.0f}", tokens_per_s) : "?"; }

void print_deployment_plan(const v1::DeploymentPlan& plan) {
  if (plan.options_size() > 0) {
    TextTable table({"PLACE", "VARIANT", "HARDWARE", plan.currency() + "/h", "CONTEXT", "AT ONCE", "PROMPT/s",
                     "ANSWERS/s", "SPEED IS", "READY IN", "CAN START"});
    for (const auto& option : plan.options()) {
      const std::string ready =
          option.ready_s() < 0 ? "?" : fmt::format("{} s ({})", option.ready_s(), option.ready_from());
      table.add({option.region() + "/" + option.pool(), option.variant(),
                 fmt::format("{} x {} x {} {}", option.replicas(), option.accelerators(), option.accelerator(),
                             option.layout()),
                 hourly_price(option.price_micros_per_hour()), std::to_string(option.context_max()),
                 std::to_string(option.concurrency()), rate(option.prefill_tokens_per_s()),
                 rate(option.decode_tokens_per_s()), option.speed_from().empty() ? "not known" : option.speed_from(),
                 ready, option.can_deploy() ? "yes" : "no"});
    }
    fmt::print("{}", table.render());
  }
  for (const auto& option : plan.options()) {
    for (const std::string& note : option.notes())
      fmt::print("{}/{} {}: {}\n", option.region(), option.pool(), option.variant(), note);
  }
  for (const auto& refusal : plan.refusals()) {
    fmt::print("not in {}/{} {}: {} [{}]\n", refusal.region(), refusal.pool(), refusal.variant(), refusal.message(),
               refusal.reason());
  }
}

Result<std::int32_t> count_option(const Arguments& arguments, std::string_view name, std::int64_t fallback) {
  TG_ASSIGN(const std::int64_t number, arguments.integer_option(name, fallback));
  if (number >= 0 && number <= 1'000'000) return static_cast<std::int32_t>(number);
  return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} is out of range: {}", name, number),
              std::string(name));
}

Status deploy_plan(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::PlanDeploymentRequest request;
  TG_ASSIGN(*request.mutable_model(), arguments.word(0, "MODEL"));
  request.set_variant(arguments.option("variant"));
  request.set_region(arguments.option("region"));
  request.set_pool(arguments.option("pool"));
  TG_ASSIGN(const std::int64_t context, arguments.integer_option("max-context", 0));
  request.set_context(context);
  TG_ASSIGN(const std::int32_t replicas, count_option(arguments, "replicas", 1));
  TG_ASSIGN(const std::int32_t sequences, count_option(arguments, "sequences", 0));
  request.set_replicas(replicas);
  request.set_sequences_max(sequences);
  request.set_dedicated(arguments.has("dedicated"));
  TG_ASSIGN(const v1::DeploymentPlan plan, connection.call(&Fleet::PlanDeployment, connection.fleet(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(plan));
  } else {
    print_deployment_plan(plan);
  }
  if (plan.options_size() > 0) return {};
  return fail(Code::kFailedPrecondition, "nothing_fits",
              fmt::format("no pool here can serve {} as asked", plan.model()));
}

Status print_deployment(const Arguments& arguments, const v1::Deployment& deployment) {
  fmt::print("{}\n", arguments.wants_json() ? message_json(deployment) : deployment_line(deployment));
  return {};
}

/// Follows it where that is wanted, then says how it stands.
Status conclude(const Arguments& arguments, Connection& connection, const v1::Deployment& made) {
  if (!wants_follow(arguments)) return print_deployment(arguments, made);
  TG_ASSIGN(const v1::Deployment last, follow_deployment(arguments, connection, made));
  return print_deployment(arguments, last);
}

Result<v1::Deployment> change_rollout(const Arguments& arguments, Connection& connection, RolloutChange::Change what) {
  v1::ChangeRolloutRequest request;
  TG_ASSIGN(*request.mutable_name(), arguments.word(0, "NAME"));
  request.set_change(what);
  request.set_at_once(arguments.has("at-once"));
  return connection.call(&Fleet::ChangeRollout, connection.fleet(), request);
}

Status deploy_promote(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const v1::Deployment made, change_rollout(arguments, connection, RolloutChange::CHANGE_PROMOTE));
  return conclude(arguments, connection, made);
}

Status deploy_rollback(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(v1::Deployment made, change_rollout(arguments, connection, RolloutChange::CHANGE_ROLL_BACK));
  // What is waited for is the stable revision, unless a rollout to the one before has begun.
  if (made.has_rollout() && made.rollout().phase() == "back") {
    v1::Deployment goal = made;
    goal.clear_rollout();
    if (!wants_follow(arguments)) return print_deployment(arguments, made);
    TG_ASSIGN(const v1::Deployment last, follow_deployment(arguments, connection, goal));
    return print_deployment(arguments, last);
  }
  return conclude(arguments, connection, made);
}

Status deploy_drain(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const v1::Deployment made, change_rollout(arguments, connection, RolloutChange::CHANGE_DRAIN));
  return conclude(arguments, connection, made);
}

Result<v1::Deployment> find_deployment(Connection& connection, const std::string& name) {
  TG_ASSIGN(const auto list,
            connection.call(&Fleet::ListDeployments, connection.fleet(), v1::ListDeploymentsRequest()));
  std::string known;
  for (const auto& each : list.deployments()) {
    if (each.name() == name && each.status() != "deleting") return each;
    known += (known.empty() ? "" : ", ") + each.name();
  }
  return fail(Code::kNotFound, "unknown_deployment",
              fmt::format("there is no deployment '{}'; there are {}", name, known), "name");
}

Status deploy_show(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const std::string name, arguments.word(0, "NAME"));
  TG_ASSIGN(const v1::Deployment found, find_deployment(connection, name));
  TG_TRY(print_deployment(arguments, found));
  if (arguments.wants_json() || found.progress_size() == 0) return {};
  TextTable table({"REPLICA", "REVISION", "PHASE", "VARIANT", "WEIGHTS", "MESSAGE"});
  for (const auto& each : found.progress()) {
    table.add({each.replica(), std::to_string(each.revision()), each.phase(), each.variant(),
               each.weights_digest().substr(0, 19), each.message()});
  }
  fmt::print("{}", table.render());
  return {};
}

/// A second variant beside the first, its share step by step, then the first one goes: one edit of one deployment.
Status deploy_replace(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const std::string name, arguments.word(0, "NAME"));
  TG_ASSIGN(const std::string with, arguments.required_option("with"));
  TG_ASSIGN(v1::Deployment wanted, find_deployment(connection, name));
  wanted.set_serves(wanted.serves().empty() ? wanted.model() : wanted.serves());
  const auto slash = with.find('/');
  wanted.set_variant(with.substr(slash == std::string::npos ? 0 : slash + 1));
  if (slash != std::string::npos) wanted.set_model(with.substr(0, slash));
  wanted.clear_rollout_steps();
  TG_TRY(read_rollout(arguments, wanted));
  if (wanted.rollout_steps_size() == 0) {
    wanted.add_rollout_steps(10);
    wanted.add_rollout_steps(100);
  }
  TG_ASSIGN(const std::int32_t threads, count_option(arguments, "threads", wanted.threads()));
  TG_ASSIGN(const std::int32_t sequences, count_option(arguments, "sequences", wanted.sequences_max()));
  wanted.set_threads(threads);
  wanted.set_sequences_max(sequences);
  TG_ASSIGN(const v1::Deployment made, connection.call(&Fleet::ApplyDeployment, connection.fleet(), wanted));
  if (arguments.has("no-wait")) return print_deployment(arguments, made);
  TG_ASSIGN(const v1::Deployment last, follow_deployment(arguments, connection, made));
  return print_deployment(arguments, last);
}

}  // namespace

std::vector<Command> rollout_commands() {
  return {
      {"deploy plan",
       "Show where a model fits, what it costs, how fast it is and when it is ready. Changes nothing.",
       "MODEL [--variant V] [--region R] [--pool P] [--max-context TOKENS] [--replicas N] [--sequences N] "
       "[--dedicated]",
       "  tidegate deploy plan tang-moe\n"
       "  tidegate deploy plan deepseek-r1 --region cn-1 --max-context 32768 --replicas 2\n",
       {"variant", "region", "pool", "max-context", "replicas", "sequences"},
       {"dedicated"},
       deploy_plan},
      {"deploy show",
       "Show one deployment, its rollout and its replicas.",
       "NAME",
       "  tidegate deploy show tang-moe\n",
       {},
       {},
       deploy_show},
      {"deploy replace",
       "Run another variant beside a deployment's, move its traffic there step by step, then remove the first.",
       "NAME --with [MODEL/]VARIANT [--steps 10,100] [--hold SPAN] [--threads N] [--sequences N] [--no-wait] "
       "[--wait-limit SPAN]",
       "  tidegate deploy replace tang-moe --with tang-distill-qwen2/bf16 --steps 10,100 --hold 30s\n",
       {"with", "steps", "canary", "hold", "threads", "sequences", "wait-limit"},
       {"no-wait", "wait"},
       deploy_replace},
      {"deploy promote",
       "Give a deployment's new revision all of the traffic.",
       "NAME [--at-once] [--wait] [--no-wait]",
       "  tidegate deploy promote tang-moe\n",
       {"wait-limit"},
       {"at-once", "wait", "no-wait"},
       deploy_promote},
      {"deploy rollback",
       "Take a new revision back; without one, go to the revision before.",
       "NAME [--wait] [--no-wait]",
       "  tidegate deploy rollback tang-moe\n",
       {"wait-limit"},
       {"wait", "no-wait"},
       deploy_rollback},
      {"deploy drain",
       "Let a deployment's replicas finish and stop; it stays, and the next 'deploy apply' brings it back.",
       "NAME [--wait] [--no-wait]",
       "  tidegate deploy drain load\n",
       {"wait-limit"},
       {"wait", "no-wait"},
       deploy_drain},
  };
}

}  // namespace tidegate::cli
