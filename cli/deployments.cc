#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/deploy_follow.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "scheduler/core/autoscale_policy.h"
#include "scheduler/core/placement_policy.h"

namespace tidegate::cli {

namespace {

using Fleet = v1::FleetAdmin::Stub;

/// Millionths of what a person wrote as a price, at most six digits after the point.
Result<std::int64_t> micros_option(const Arguments& arguments, std::string_view name) {
  const std::string text = arguments.option(name);
  std::int64_t micros = 0;
  std::size_t before = 0;
  std::size_t after = 0;
  bool has_point = false;
  bool is_good = true;
  for (const char c : text) {
    if (c == '.' && !has_point) {
      has_point = true;
      continue;
    }
    // Twelve digits of units and six of millionths fit in 64 bits.
    ++(has_point ? after : before);
    is_good = c >= '0' && c <= '9' && before <= 12 && after <= 6;
    if (!is_good) break;
    micros = micros * 10 + (c - '0');
  }
  if (!is_good || text == ".") {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} takes an amount such as 12.50, not '{}'", name, text), std::string(name));
  }
  for (; after < 6; ++after) micros *= 10;
  return micros;
}

/// --max turns scaling on; everything else refines it.
Status read_autoscale(const Arguments& arguments, v1::Deployment& wanted) {
  if (!arguments.has("max")) {
    for (const char* name : {"min", "target-utilisation", "queue-wait-ms", "down-after", "idle-to-zero", "time-to-ready",
                             "prompt-rate", "replica-price", "budget", "batch-surplus", "zone", "windows"}) {
      if (!arguments.has(name)) continue;
      return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} needs --max N, which lets the number of replicas follow the load", name), name);
    }
    return {};
  }
  v1::AutoscalePolicy& policy = *wanted.mutable_autoscale();
  const auto count = [&](std::string_view name, std::int64_t fallback) -> Result<std::int32_t> {
    TG_ASSIGN(const std::int64_t number, arguments.integer_option(name, fallback));
    if (number < 0 || number > 1'000'000'000) {
      return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} is out of range: {}", name, number), std::string(name));
    }
    return static_cast<std::int32_t>(number);
  };
  TG_ASSIGN(const std::int32_t most, count("max", 1));
  TG_ASSIGN(const std::int32_t least, count("min", 1));
  TG_ASSIGN(const std::int32_t target, count("target-utilisation", 0));
  TG_ASSIGN(const std::int32_t wait, count("queue-wait-ms", 0));
  TG_ASSIGN(const std::int32_t down_after, count("down-after", 0));
  TG_ASSIGN(const std::int32_t idle, count("idle-to-zero", 0));
  TG_ASSIGN(const std::int32_t time_to_ready, count("time-to-ready", 0));
  TG_ASSIGN(const std::int32_t prompt_rate, count("prompt-rate", 0));
  TG_ASSIGN(const std::int64_t price, micros_option(arguments, "replica-price"));
  TG_ASSIGN(const std::int64_t budget, micros_option(arguments, "budget"));
  policy.set_replicas_max(most);
  policy.set_replicas_min(least);
  policy.set_target_utilisation_percent(target);
  policy.set_queue_wait_ms(wait);
  policy.set_down_after_s(down_after);
  policy.set_idle_s(idle);
  policy.set_time_to_ready_s(time_to_ready);
  policy.set_prompt_tokens_per_s(prompt_rate);
  policy.set_price_micros_per_hour(price);
  policy.set_budget_micros_per_hour(budget);
  policy.set_batch_surplus(arguments.has("batch-surplus"));
  policy.set_zone(arguments.option("zone"));
  std::string windows = arguments.option("windows");
  while (!windows.empty()) {
    const auto end = windows.find(';');
    TG_ASSIGN(const scheduler::AutoscaleWindow window, scheduler::parse_autoscale_window(windows.substr(0, end)));
    windows = end == std::string::npos ? "" : windows.substr(end + 1);
    auto* out = policy.add_windows();
    out->set_weekdays(window.weekdays);
    out->set_start_minute(window.start_minute);
    out->set_end_minute(window.end_minute);
    out->set_replicas_min(window.replicas_min);
  }
  return {};
}

void add_names(std::string text, google::protobuf::RepeatedPtrField<std::string>& names) {
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (comma != 0) *names.Add() = text.substr(0, comma);
    text = comma == std::string::npos ? "" : text.substr(comma + 1);
  }
}

/// --anywhere leaves region and pool to the scheduler; the others say among which.
Status read_placement(const Arguments& arguments, v1::Deployment& wanted) {
  if (!arguments.has("anywhere")) {
    for (const char* name : {"regions", "pools", "lost-after"}) {
      if (!arguments.has(name)) continue;
      return fail(Code::kInvalidArgument, "bad_usage",
                  fmt::format("--{} needs --anywhere, which lets the scheduler choose the pool", name), name);
    }
    wanted.set_region(arguments.option("region", "local"));
    wanted.set_pool(arguments.option("pool", "cpu"));
    return {};
  }
  v1::PlacementPolicy& policy = *wanted.mutable_placement();
  wanted.set_region(arguments.option("region"));
  wanted.set_pool(arguments.option("pool"));
  add_names(arguments.option("regions"), *policy.mutable_regions());
  add_names(arguments.option("pools"), *policy.mutable_pools());
  TG_ASSIGN(const std::int64_t seconds, arguments.integer_option("lost-after", 0));
  if (seconds < 0 || seconds > scheduler::kLostAfterMostS) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--lost-after is out of range: {}", seconds), "lost-after");
  }
  policy.set_lost_after_s(static_cast<std::int32_t>(seconds));
  return {};
}

Status deploy_apply(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::Deployment wanted;
  TG_ASSIGN(*wanted.mutable_name(), arguments.word(0, "NAME"));
  TG_ASSIGN(*wanted.mutable_model(), arguments.required_option("model"));
  TG_ASSIGN(*wanted.mutable_variant(), arguments.required_option("variant"));
  TG_TRY(read_placement(arguments, wanted));
  TG_ASSIGN(const auto replicas, arguments.integer_option("replicas", 1));
  TG_ASSIGN(const auto threads, arguments.integer_option("threads", 0));
  TG_ASSIGN(const auto sequences, arguments.integer_option("sequences", 0));
  wanted.set_replicas(static_cast<std::int32_t>(replicas));
  wanted.set_threads(static_cast<std::int32_t>(threads));
  wanted.set_sequences_max(static_cast<std::int32_t>(sequences));
  TG_TRY(read_autoscale(arguments, wanted));
  wanted.set_serves(arguments.option("serves"));
  TG_TRY(read_rollout(arguments, wanted));
  add_names(arguments.option("options"), *wanted.mutable_options());
  TG_ASSIGN(v1::Deployment made, connection.call(&Fleet::ApplyDeployment, connection.fleet(), wanted));
  if (wants_follow(arguments)) {
    TG_ASSIGN(made, follow_deployment(arguments, connection, made));
  }
  fmt::print("{}\n", arguments.wants_json() ? message_json(made) : deployment_line(made));
  return {};
}

/// What a person should know first.
std::string message_of(const v1::Deployment& deployment) {
  if (deployment.has_rollout()) {
    const v1::Rollout& rollout = deployment.rollout();
    const std::string where = rollout.steps_size() > 0 ? fmt::format("{} % of the traffic", rollout.share_percent())
                                                       : fmt::format("{} replaced", rollout.done());
    return fmt::format("revision {} {}: {}", rollout.revision(), rollout.phase(), rollout.why().empty() ? where : rollout.why());
  }
  if (deployment.drained()) return "drained; 'deploy apply' brings it back";
  if (!deployment.placement_why().empty()) return deployment.placement_why();
  return deployment.message().empty() ? deployment.autoscale_why() : deployment.message();
}

Status deploy_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto list, connection.call(&Fleet::ListDeployments, connection.fleet(), v1::ListDeploymentsRequest()));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"NAME", "MODEL", "VARIANT", "PLACE", "READY", "STATUS", "MESSAGE"});
  for (const auto& each : list.deployments()) {
    const bool is_scaled = each.has_autoscale();
    const std::string ready =
        is_scaled ? fmt::format("{}/{} ({}-{})", each.replicas_ready(), each.replicas_wanted(), each.autoscale().replicas_min(),
                                each.autoscale().replicas_max())
                  : fmt::format("{}/{}", each.replicas_ready(), each.replicas());
    table.add({each.name(), each.model(), each.variant(), each.region() + "/" + each.pool(), ready, each.status(),
               message_of(each)});
  }
  fmt::print("{}", table.render());
  return {};
}

Status deploy_delete(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::DeleteDeploymentRequest request;
  TG_ASSIGN(*request.mutable_name(), arguments.word(0, "NAME"));
  TG_TRY(connection.call(&Fleet::DeleteDeployment, connection.fleet(), request));
  if (!arguments.wants_json()) fmt::print("deployment {} is being taken down\n", request.name());
  return {};
}

}  // namespace

std::vector<Command> deployment_commands() {
  return {
      {"deploy apply", "Create or change a deployment of a catalogue model.",
       "NAME --model MODEL --variant VARIANT [--replicas N] [--threads N] [--sequences N] [--region R] [--pool P] [--options K=V,...]\n"
       "       [--anywhere [--regions R,R,...] [--pools P,P,...] [--lost-after S]]\n"
       "       [--serves NAME] [--canary PERCENT | --steps P,P,...] [--hold SPAN] [--wait | --no-wait] [--wait-limit SPAN]\n"
       "       [--max N [--min N] [--target-utilisation PERCENT] [--queue-wait-ms N] [--down-after S] [--idle-to-zero S]\n"
       "        [--time-to-ready S] [--prompt-rate TOKENS] [--replica-price P --budget P] [--batch-surplus] [--zone Z]\n"
       "        [--windows 'mon-fri 08:30-20:00 min=6;...']]",
       "  tidegate deploy apply tang-moe --model tang-moe --variant fp8\n"
       "  tidegate deploy apply load --model sim-fast --variant sim --replicas 2\n"
       "  tidegate deploy apply tang-moe --model tang-moe --variant fp8 --sequences 32 --canary 10\n"
       "  tidegate deploy apply chat --model sim-fast --variant sim --min 0 --max 8 --target-utilisation 75\n"
       "  tidegate deploy apply tang-moe --model tang-moe --variant fp8 --anywhere --regions eu-1,eu-2\n",
       {"model", "variant", "replicas", "threads", "sequences", "region", "pool", "options", "max", "min",
        "target-utilisation", "queue-wait-ms", "down-after", "idle-to-zero", "time-to-ready", "prompt-rate", "replica-price", "budget",
        "zone", "windows", "serves", "canary", "steps", "hold", "wait-limit", "regions", "pools", "lost-after"}, {"batch-surplus", "anywhere", "wait", "no-wait"}, deploy_apply},
      {"deploy list", "List deployments and how many replicas are ready.", "", "  tidegate deploy list\n", {}, {}, deploy_list},
      {"deploy delete", "Drain and remove a deployment.", "NAME", "  tidegate deploy delete load\n", {}, {}, deploy_delete},
  };
}

}  // namespace tidegate::cli
