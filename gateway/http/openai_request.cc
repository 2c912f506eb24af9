#include "gateway/http/openai_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>
#include <utility>

#include "gateway/http/request_fields.h"

namespace tidegate::gateway {

bool is_false(const json::value& value) { return value.is_bool() && !value.get_bool(); }
bool is_plain_text(const json::value& value) { return is_object_of_type(value, {"text"}); }
bool leaves_choice_free(const json::value& value) { return is_word(value, {"none", "auto"}); }
bool is_usual_verbosity(const json::value& value) { return is_word(value, {"medium"}); }

Result<bool> is_effort_none(const json::object& object, std::string_view name, std::string_view path) {
  constexpr std::string_view kHints[] = {"minimal", "low", "medium", "high", "xhigh", "max", "ultra"};
  TG_ASSIGN(const auto effort, json::find_string(object, name, path));
  if (!effort || std::ranges::count(kHints, std::string_view(*effort)) > 0) return false;
  if (*effort == "none") return true;
  return refuse_value(json::join_path(path, name),
                      "must be one of none, minimal, low, medium, high, xhigh, max, ultra");
}

Result<std::string> parse_end_user(const json::object& root) {
  std::string end_user;
  for (const std::string_view name : {"user", "user_id", "safety_identifier"}) {
    TG_ASSIGN(auto named, json::find_string(root, name));
    if (!named || named->empty()) continue;
    if (std::ssize(*named) > PlanLimits::kEndUserBytesMax) {
      return refuse_value(std::string(name),
                          fmt::format("must be at most {} bytes long; send an id", PlanLimits::kEndUserBytesMax));
    }
    if (end_user.empty()) end_user = *std::move(named);
  }
  return end_user;
}

Status parse_penalties(const json::object& root, PlanSampling& sampling) {
  TG_ASSIGN(const auto presence, json::find_double(root, "presence_penalty"));
  sampling.presence_penalty = presence.value_or(0);
  TG_ASSIGN(const auto frequency, json::find_double(root, "frequency_penalty"));
  sampling.frequency_penalty = frequency.value_or(0);
  TG_ASSIGN(sampling.repetition_penalty, json::find_double(root, "repetition_penalty"));
  TG_ASSIGN(const json::object* biases, find_object(root, "logit_bias"));
  if (biases == nullptr) return {};
  if (std::ssize(*biases) > PlanLimits::kBiasesMax) {
    return refuse_value("logit_bias", fmt::format("must name at most {} tokens", PlanLimits::kBiasesMax));
  }
  for (const auto& [key, value] : *biases) {
    const std::string_view text = key;
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size() || id < 0) {
      return refuse_value("logit_bias", "must have token ids as its keys, e.g. {\"1734\": -100}");
    }
    if (!value.is_number()) return refuse_type("logit_bias", "an object of numbers");
    sampling.logit_bias[id] = value.to_number<double>();
  }
  return {};
}

Status parse_choices(const json::object& root, PlanSampling& sampling) {
  TG_ASSIGN(const auto n, json::find_int(root, "n"));
  if (!n) return {};
  if (*n < 1 || *n > PlanLimits::kChoicesMax) {
    return refuse_value("n", fmt::format("must be between 1 and {}", PlanLimits::kChoicesMax));
  }
  sampling.n = static_cast<std::int32_t>(*n);
  return {};
}

Status parse_chat_logprobs(const json::object& root, PlanSampling& sampling) {
  TG_ASSIGN(const auto is_asked, json::find_bool(root, "logprobs"));
  TG_ASSIGN(const auto top, json::find_int(root, "top_logprobs"));
  if (top && (*top < 0 || *top > PlanLimits::kLogprobsMax)) {
    return refuse_value("top_logprobs", fmt::format("must be between 0 and {}", PlanLimits::kLogprobsMax));
  }
  if (!is_asked.value_or(false)) {
    if (top.value_or(0) > 0) return refuse_value("top_logprobs", "has a meaning only with 'logprobs': true; send both");
    return {};
  }
  sampling.logprobs = static_cast<std::int32_t>(top.value_or(0));
  return {};
}

Result<std::vector<std::string>> parse_stop(const json::object& root) {
  const json::value* value = root.if_contains("stop");
  if (value == nullptr || value->is_null() || value->is_array()) return find_strings(root, "stop");
  if (!value->is_string()) return refuse_type("stop", "a string or an array of strings");
  std::vector<std::string> one;
  one.emplace_back(value->get_string());
  return one;
}

Status parse_service_tier(const json::object& root, Plan& plan) {
  TG_ASSIGN(const auto name, json::find_string(root, "service_tier"));
  if (!name) return {};
  plan.names_tier = true;
  if (*name == "auto") return {};
  plan.tier = parse_tier(*name);
  if (!plan.tier) return refuse_value("service_tier", "must be 'auto', 'default', 'flex' or 'priority'");
  return {};
}

Status parse_stream(const json::object& root, Plan& plan) {
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  TG_ASSIGN(const json::object* options, find_object(root, "stream_options"));
  if (options == nullptr) return {};
  if (!plan.is_stream) return refuse_value("stream_options", "has a meaning only with 'stream': true; leave it out");
  TG_ASSIGN(const auto include_usage, json::find_bool(*options, "include_usage", "stream_options"));
  plan.include_usage = include_usage.value_or(false);
  for (const auto& member : *options) plan.fields_ignored += member.key() == "include_usage" ? 0 : 1;
  return {};
}

}  // namespace tidegate::gateway
