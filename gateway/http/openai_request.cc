#include "gateway/http/openai_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

bool is_integer(const json::value& value, std::int64_t wanted) {
  return value.is_int64() && value.get_int64() == wanted;
}

}  // namespace

bool is_false(const json::value& value) { return value.is_bool() && !value.get_bool(); }
bool is_zero(const json::value& value) { return is_integer(value, 0); }
bool is_one(const json::value& value) { return is_integer(value, 1); }
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

Status check_penalties(const json::object& root, std::int32_t& ignored) {
  for (const std::string_view name : {"presence_penalty", "frequency_penalty"}) {
    TG_ASSIGN(const auto penalty, json::find_double(root, name));
    if (!penalty) continue;
    if (!(*penalty >= -2 && *penalty <= 2)) return refuse_value(std::string(name), "must be between -2 and 2");
    ignored += *penalty == 0 ? 0 : 1;
  }
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
