#include "gateway/http/openai_chat_parse.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/core/encoding.h"
#include "base/json/json.h"
#include "gateway/http/openai_fields.h"
#include "gateway/http/openai_messages.h"

namespace tidegate::gateway {
namespace {

std::unexpected<Error> invalid_value(std::string_view field, std::string rule) {
  return fail(Code::kInvalidArgument, "invalid_value", fmt::format("'{}' {}.", field, rule), std::string(field));
}

Status check_fields(const json::object& root, std::int32_t& ignored) {
  for (const auto& member : root) {
    const std::string_view name = member.key();
    switch (field_use(name)) {
      case FieldUse::kServed: break;
      case FieldUse::kIgnored:
      case FieldUse::kUnknown: ++ignored; break;
      case FieldUse::kRefused:
        if (!asks_for_nothing(name, member.value())) {
          return fail(Code::kInvalidArgument, "unsupported_parameter",
                      fmt::format("'{}' with this value is not supported here; leave it out.", name), std::string(name));
        }
        break;
    }
  }
  return {};
}

Result<std::int32_t> parse_max_tokens(const json::object& root) {
  std::int32_t tokens = 0;
  // The later name wins when both are there.
  for (const std::string_view name : {"max_tokens", "max_completion_tokens"}) {
    TG_ASSIGN(const auto value, json::find_int(root, name));
    if (!value) continue;
    if (*value < 1 || *value > PlanLimits::kCompletionTokensMax) {
      return invalid_value(name, fmt::format("must be between 1 and {}", PlanLimits::kCompletionTokensMax));
    }
    tokens = static_cast<std::int32_t>(*value);
  }
  return tokens;
}

Status parse_numbers(const json::object& root, PlanSampling& sampling) {
  TG_ASSIGN(sampling.temperature, json::find_double(root, "temperature"));
  TG_ASSIGN(sampling.top_p, json::find_double(root, "top_p"));
  TG_ASSIGN(const auto top_k, json::find_int(root, "top_k"));
  if (top_k && (*top_k < -1 || *top_k > PlanLimits::kTopKMax)) {
    return invalid_value("top_k", fmt::format("must be between 0 (off) and {}", PlanLimits::kTopKMax));
  }
  // -1 also means off, in the dialect of several local servers.
  if (top_k) sampling.top_k = static_cast<std::int32_t>(*top_k < 0 ? 0 : *top_k);
  TG_ASSIGN(const auto seed, json::find_int(root, "seed"));
  if (seed) sampling.seed = static_cast<std::uint64_t>(*seed);
  for (const std::string_view name : {"presence_penalty", "frequency_penalty"}) {
    TG_ASSIGN(const auto penalty, json::find_double(root, name));
    if (penalty && !(*penalty >= -2 && *penalty <= 2)) return invalid_value(name, "must be between -2 and 2");
  }
  return {};
}

Result<std::vector<std::string>> parse_stop(const json::object& root) {
  std::vector<std::string> stops;
  const json::value* value = root.if_contains("stop");
  if (value == nullptr || value->is_null()) return stops;
  if (value->is_string()) {
    stops.emplace_back(value->get_string());
  } else if (value->is_array()) {
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) {
        std::string field = fmt::format("stop[{}]", stops.size());
        return fail(Code::kInvalidArgument, "wrong_type", fmt::format("'{}' must be a string.", field), field);
      }
      stops.emplace_back(item.get_string());
    }
  } else {
    return fail(Code::kInvalidArgument, "wrong_type", "'stop' must be a string or an array of strings.", "stop");
  }
  return stops;
}

Status parse_stream(const json::object& root, Plan& plan) {
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  const json::value* options = root.if_contains("stream_options");
  if (options == nullptr || options->is_null()) return {};
  if (!options->is_object()) {
    return fail(Code::kInvalidArgument, "wrong_type", "'stream_options' must be an object.", "stream_options");
  }
  if (!plan.is_stream) return invalid_value("stream_options", "has a meaning only with 'stream': true; leave it out");
  TG_ASSIGN(const auto include_usage, json::find_bool(options->get_object(), "include_usage", "stream_options"));
  plan.include_usage = include_usage.value_or(false);
  for (const auto& member : options->get_object()) plan.fields_ignored += member.key() == "include_usage" ? 0 : 1;
  return {};
}

}  // namespace

Result<Plan> parse_openai_chat(std::string_view body) {
  if (!is_valid_utf8(body)) {
    return fail(Code::kInvalidArgument, "invalid_json", "The body is not valid UTF-8; send JSON encoded as UTF-8.");
  }
  TG_ASSIGN(const json::value document, json::parse(body));
  if (!document.is_object()) {
    return fail(Code::kInvalidArgument, "invalid_json", "The body must be a JSON object.");
  }
  const json::object& root = document.get_object();
  Plan plan;
  TG_TRY(check_fields(root, plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(const json::value* messages, json::member(root, "messages"));
  TG_ASSIGN(plan.messages, parse_openai_messages(*messages, plan.fields_ignored));
  TG_ASSIGN(plan.sampling.max_tokens, parse_max_tokens(root));
  TG_TRY(parse_numbers(root, plan.sampling));
  TG_ASSIGN(plan.sampling.stop, parse_stop(root));
  TG_TRY(parse_stream(root, plan));
  TG_ASSIGN(auto user, json::find_string(root, "user"));
  plan.end_user = std::move(user).value_or("");
  TG_TRY(check_plan(plan, ""));
  return plan;
}

}  // namespace tidegate::gateway
