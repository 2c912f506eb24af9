#include "scheduler/catalogue/autoscale_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr std::array<std::string_view, 13> kPolicyMembers = {"replicas_min",
                                                       "replicas_max",
                                                       "target_utilisation_percent",
                                                       "queue_wait_ms",
                                                       "down_after_s",
                                                       "idle_s",
                                                       "time_to_ready_s",
                                                       "prompt_tokens_per_s",
                                                       "price_micros_per_hour",
                                                       "budget_micros_per_hour",
                                                       "batch_surplus",
                                                       "zone",
                                                       "windows"};

/// Leaves `out` alone when the member is absent.
template <typename Integer>
Status take(const json::object& from, std::string_view key, std::string_view path, Integer& out) {
  TG_ASSIGN(const auto number, json::find_int(from, key, path));
  if (!number) return {};
  if (!std::in_range<Integer>(*number)) {
    const std::string field = json::join_path(path, key);
    return fail(Code::kInvalidArgument, "out_of_range", fmt::format("{} is out of range: {}", field, *number), field);
  }
  out = static_cast<Integer>(*number);
  return {};
}

Result<AutoscaleWindow> read_window(const json::value& from, const std::string& path) {
  if (from.is_string()) return parse_autoscale_window({from.get_string().data(), from.get_string().size()});
  if (!from.is_object())
    return fail(Code::kInvalidArgument, "wrong_type", fmt::format("'{}' must be an object or words", path), path);
  AutoscaleWindow window;
  const json::object& object = from.get_object();
  TG_TRY(take(object, "weekdays", path, window.weekdays));
  TG_TRY(take(object, "start_minute", path, window.start_minute));
  TG_TRY(take(object, "end_minute", path, window.end_minute));
  TG_TRY(take(object, "replicas_min", path, window.replicas_min));
  return window;
}

}  // namespace

std::string write_autoscale(const AutoscalePolicy& policy) {
  if (!policy.is_on) return "{}";
  json::object out;
  out["replicas_min"] = policy.replicas_min;
  out["replicas_max"] = policy.replicas_max;
  out["target_utilisation_percent"] = policy.target_utilisation_percent;
  out["queue_wait_ms"] = policy.queue_wait_ms;
  out["down_after_s"] = policy.down_after_s;
  out["idle_s"] = policy.idle_s;
  out["time_to_ready_s"] = policy.time_to_ready_s;
  out["prompt_tokens_per_s"] = policy.prompt_tokens_per_s;
  out["price_micros_per_hour"] = policy.price_micros_per_hour;
  out["budget_micros_per_hour"] = policy.budget_micros_per_hour;
  out["batch_surplus"] = policy.batch_surplus;
  out["zone"] = policy.zone;
  json::array windows;
  for (const AutoscaleWindow& window : policy.windows) {
    json::object one;
    one["weekdays"] = window.weekdays;
    one["start_minute"] = window.start_minute;
    one["end_minute"] = window.end_minute;
    one["replicas_min"] = window.replicas_min;
    windows.push_back(std::move(one));
  }
  out["windows"] = std::move(windows);
  return json::serialize(out);
}

Result<AutoscalePolicy> read_autoscale(const json::object& from, std::string_view path) {
  AutoscalePolicy policy;
  if (from.empty()) return policy;
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(kPolicyMembers.begin(), kPolicyMembers.end(), key) != kPolicyMembers.end()) continue;
    const std::string field = json::join_path(path, key);
    return fail(
        Code::kInvalidArgument, "unknown_field",
        fmt::format("'{}' is not a member of an autoscale policy; known are {}", field, fmt::join(kPolicyMembers, ", ")),
        field);
  }
  policy.is_on = true;
  TG_TRY(take(from, "replicas_min", path, policy.replicas_min));
  TG_TRY(take(from, "replicas_max", path, policy.replicas_max));
  TG_TRY(take(from, "target_utilisation_percent", path, policy.target_utilisation_percent));
  TG_TRY(take(from, "queue_wait_ms", path, policy.queue_wait_ms));
  TG_TRY(take(from, "down_after_s", path, policy.down_after_s));
  TG_TRY(take(from, "idle_s", path, policy.idle_s));
  TG_TRY(take(from, "time_to_ready_s", path, policy.time_to_ready_s));
  TG_TRY(take(from, "prompt_tokens_per_s", path, policy.prompt_tokens_per_s));
  TG_TRY(take(from, "price_micros_per_hour", path, policy.price_micros_per_hour));
  TG_TRY(take(from, "budget_micros_per_hour", path, policy.budget_micros_per_hour));
  TG_ASSIGN(const auto batch, json::find_bool(from, "batch_surplus", path));
  policy.batch_surplus = batch.value_or(false);
  TG_ASSIGN(const auto zone, json::find_string(from, "zone", path));
  policy.zone = zone.value_or(policy.zone);
  if (!from.contains("windows")) return policy;
  TG_ASSIGN(const json::array* windows, json::get_array(from, "windows", path));
  for (std::size_t i = 0; i < windows->size() && i <= kAutoscaleWindowsMax; ++i) {
    TG_ASSIGN(const AutoscaleWindow window,
              read_window((*windows)[i], fmt::format("{}[{}]", json::join_path(path, "windows"), i)));
    policy.windows.push_back(window);
  }
  return policy;
}

Result<AutoscalePolicy> parse_autoscale(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object())
    return fail(Code::kInvalidArgument, "wrong_type", "an autoscale policy is a JSON object", "autoscale");
  return read_autoscale(document.get_object(), "autoscale");
}

}  // namespace tidegate::scheduler
