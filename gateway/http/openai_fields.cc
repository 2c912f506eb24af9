#include "gateway/http/openai_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>

namespace tidegate::gateway {
namespace {

struct Field {
  std::string_view name;
  FieldUse use;
};

constexpr std::array kChatFields = {
    Field{"model", FieldUse::kServed},
    Field{"messages", FieldUse::kServed},
    Field{"stream", FieldUse::kServed},
    Field{"stream_options", FieldUse::kServed},
    Field{"max_tokens", FieldUse::kServed},
    Field{"max_completion_tokens", FieldUse::kServed},
    Field{"temperature", FieldUse::kServed},
    Field{"top_p", FieldUse::kServed},
    Field{"top_k", FieldUse::kServed},
    Field{"stop", FieldUse::kServed},
    Field{"seed", FieldUse::kServed},
    Field{"presence_penalty", FieldUse::kServed},   // range-checked; without effect on thinking models, as DeepSeek
    Field{"frequency_penalty", FieldUse::kServed},  // as above
    Field{"user", FieldUse::kServed},
    Field{"user_id", FieldUse::kIgnored},
    Field{"safety_identifier", FieldUse::kIgnored},
    Field{"prompt_cache_key", FieldUse::kIgnored},
    Field{"prompt_cache_retention", FieldUse::kIgnored},
    Field{"metadata", FieldUse::kIgnored},
    Field{"store", FieldUse::kIgnored},                // nothing is ever stored
    Field{"parallel_tool_calls", FieldUse::kIgnored},  // steers tools, which are refused by themselves
    Field{"tools", FieldUse::kRefused},
    Field{"tool_choice", FieldUse::kRefused},
    Field{"functions", FieldUse::kRefused},
    Field{"function_call", FieldUse::kRefused},
    Field{"response_format", FieldUse::kRefused},
    Field{"n", FieldUse::kRefused},
    Field{"logprobs", FieldUse::kRefused},
    Field{"top_logprobs", FieldUse::kRefused},
    Field{"logit_bias", FieldUse::kRefused},
    Field{"thinking", FieldUse::kRefused},
    Field{"reasoning_effort", FieldUse::kRefused},
    Field{"service_tier", FieldUse::kRefused},
    Field{"modalities", FieldUse::kRefused},
    Field{"audio", FieldUse::kRefused},
    Field{"prediction", FieldUse::kRefused},
    Field{"web_search_options", FieldUse::kRefused},
    Field{"verbosity", FieldUse::kRefused},
    Field{"prompt_cache_options", FieldUse::kRefused},
    Field{"moderation", FieldUse::kRefused},
};

constexpr std::array kCompletionFields = {
    Field{"model", FieldUse::kServed},
    Field{"prompt", FieldUse::kServed},
    Field{"suffix", FieldUse::kServed},
    Field{"echo", FieldUse::kServed},
    Field{"stream", FieldUse::kServed},
    Field{"stream_options", FieldUse::kServed},
    Field{"max_tokens", FieldUse::kServed},
    Field{"temperature", FieldUse::kServed},
    Field{"top_p", FieldUse::kServed},
    Field{"top_k", FieldUse::kServed},
    Field{"stop", FieldUse::kServed},
    Field{"seed", FieldUse::kServed},
    Field{"presence_penalty", FieldUse::kServed},
    Field{"frequency_penalty", FieldUse::kServed},
    Field{"user", FieldUse::kServed},
    Field{"n", FieldUse::kRefused},
    Field{"best_of", FieldUse::kRefused},
    Field{"logprobs", FieldUse::kRefused},  // 0 asks for the chosen tokens' own, so only null asks for nothing
    Field{"logit_bias", FieldUse::kRefused},
    Field{"response_format", FieldUse::kRefused},
    Field{"tools", FieldUse::kRefused},
    Field{"tool_choice", FieldUse::kRefused},
    Field{"messages", FieldUse::kRefused},
};

FieldUse use_in(std::span<const Field> fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &Field::name);
  return found == fields.end() ? FieldUse::kUnknown : found->use;
}

bool is_one_of(const json::value& value, std::initializer_list<std::string_view> words) {
  return value.is_string() && std::ranges::find(words, std::string_view(value.get_string())) != words.end();
}

bool has_type(const json::value& value, std::string_view type) {
  if (!value.is_object()) return false;
  const json::value* found = value.get_object().if_contains("type");
  return found != nullptr && is_one_of(*found, {type});
}

bool is_integer(const json::value& value, std::int64_t wanted) { return value.is_int64() && value.get_int64() == wanted; }

}  // namespace

FieldUse chat_field_use(std::string_view name) { return use_in(kChatFields, name); }

FieldUse completion_field_use(std::string_view name) { return use_in(kCompletionFields, name); }

bool asks_for_nothing(std::string_view name, const json::value& value) {
  if (value.is_null()) return true;
  if (value.is_array() && value.get_array().empty()) return true;
  if (value.is_object() && value.get_object().empty()) return true;
  if (name == "n" || name == "best_of") return is_integer(value, 1);
  if (name == "logprobs") return value.is_bool() && !value.get_bool();
  if (name == "top_logprobs") return is_integer(value, 0);
  if (name == "tool_choice" || name == "function_call") return is_one_of(value, {"none", "auto"});
  if (name == "response_format") return has_type(value, "text");
  if (name == "thinking") return has_type(value, "enabled");
  // Every level but "none" is a hint; thinking itself cannot be switched off.
  if (name == "reasoning_effort") return is_one_of(value, {"minimal", "low", "medium", "high", "xhigh", "max"});
  if (name == "service_tier") return is_one_of(value, {"auto", "default"});
  if (name == "verbosity") return is_one_of(value, {"medium"});
  if (name == "modalities") {
    return value.is_array() && value.get_array().size() == 1 && is_one_of(value.get_array().front(), {"text"});
  }
  return false;
}

Status check_fields(const json::object& root, FieldUse (*use)(std::string_view), std::int32_t& ignored) {
  for (const auto& member : root) {
    const std::string_view name = member.key();
    switch (use(name)) {
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

}  // namespace tidegate::gateway
