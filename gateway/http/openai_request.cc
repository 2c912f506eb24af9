#include "gateway/http/openai_request.h"

#include <fmt/format.h>

#include <utility>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

std::unexpected<Error> invalid_value(std::string_view field, std::string_view rule) {
  return fail(Code::kInvalidArgument, "invalid_value", fmt::format("'{}' {}.", field, rule), std::string(field));
}

std::unexpected<Error> wrong_type(const std::string& field, std::string_view wanted) {
  return fail(Code::kInvalidArgument, "wrong_type", fmt::format("'{}' must be {}.", field, wanted), field);
}

}  // namespace

Result<json::object> parse_request_body(std::string_view body) {
  if (!is_valid_utf8(body)) {
    return fail(Code::kInvalidArgument, "invalid_json", "The body is not valid UTF-8; send JSON encoded as UTF-8.");
  }
  TG_ASSIGN(json::value document, json::parse(body));
  if (!document.is_object()) {
    return fail(Code::kInvalidArgument, "invalid_json", "The body must be a JSON object.");
  }
  return std::move(document.get_object());
}

Result<std::int32_t> parse_max_tokens(const json::object& root, std::string_view name) {
  TG_ASSIGN(const auto value, json::find_int(root, name));
  if (!value) return 0;
  if (*value < 1 || *value > PlanLimits::kCompletionTokensMax) {
    return invalid_value(name, fmt::format("must be between 1 and {}", PlanLimits::kCompletionTokensMax));
  }
  return static_cast<std::int32_t>(*value);
}

Status parse_sampling(const json::object& root, Plan& plan) {
  PlanSampling& sampling = plan.sampling;
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
    if (!penalty) continue;
    if (!(*penalty >= -2 && *penalty <= 2)) return invalid_value(name, "must be between -2 and 2");
    plan.fields_ignored += *penalty == 0 ? 0 : 1;
  }
  return {};
}

Result<std::vector<std::string>> parse_stop(const json::object& root) {
  std::vector<std::string> stops;
  const json::value* value = root.if_contains("stop");
  if (value == nullptr || value->is_null()) return stops;
  if (value->is_string()) {
    stops.emplace_back(value->get_string());
    return stops;
  }
  if (!value->is_array()) return wrong_type("stop", "a string or an array of strings");
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return wrong_type(fmt::format("stop[{}]", stops.size()), "a string");
    stops.emplace_back(item.get_string());
  }
  return stops;
}

Status parse_stream(const json::object& root, Plan& plan) {
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  const json::value* options = root.if_contains("stream_options");
  if (options == nullptr || options->is_null()) return {};
  if (!options->is_object()) return wrong_type("stream_options", "an object");
  if (!plan.is_stream) return invalid_value("stream_options", "has a meaning only with 'stream': true; leave it out");
  TG_ASSIGN(const auto include_usage, json::find_bool(options->get_object(), "include_usage", "stream_options"));
  plan.include_usage = include_usage.value_or(false);
  for (const auto& member : options->get_object()) plan.fields_ignored += member.key() == "include_usage" ? 0 : 1;
  return {};
}

}  // namespace tidegate::gateway
