#include "gateway/http/request_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

bool means_nothing(const FieldRule& rule, const json::value& value) {
  if (value.is_null()) return true;
  if (value.is_array() && value.get_array().empty()) return true;
  if (value.is_object() && value.get_object().empty()) return true;
  return rule.asks_for_nothing != nullptr && rule.asks_for_nothing(value);
}

Result<std::string> join_parts(const json::array& parts, const std::string& path,
                               std::span<const std::string_view> types) {
  if (parts.empty()) return refuse_value(path, "must hold at least one part");
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!parts[i].is_object()) return refuse_type(here, "an object with 'type' and 'text'");
    const json::object& part = parts[i].get_object();
    TG_ASSIGN(const std::string type, json::get_string(part, "type", here));
    if (std::ranges::find(types, std::string_view(type)) == types.end()) {
      return refuse_feature(here + ".type", fmt::format("send parts of type '{}' only", fmt::join(types, "' or '")));
    }
    TG_ASSIGN(const std::string piece, json::get_string(part, "text", here));
    if (i > 0) text += '\n';
    text += piece;
  }
  return text;
}

}  // namespace

std::unexpected<Error> refuse_value(std::string field, std::string_view rule) {
  std::string message = fmt::format("'{}' {}.", field, rule);
  return fail(Code::kInvalidArgument, "invalid_value", std::move(message), std::move(field));
}

std::unexpected<Error> refuse_type(std::string field, std::string_view wanted) {
  std::string message = fmt::format("'{}' must be {}.", field, wanted);
  return fail(Code::kInvalidArgument, "wrong_type", std::move(message), std::move(field));
}

std::unexpected<Error> refuse_feature(std::string field, std::string_view fix) {
  std::string message = fmt::format("'{}' is not supported here; {}.", field, fix);
  return fail(Code::kInvalidArgument, "unsupported_parameter", std::move(message), std::move(field));
}

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

Status check_members(const json::object& object, std::span<const FieldRule> rules, std::string_view path,
                     std::int32_t& ignored) {
  for (const auto& member : object) {
    const std::string_view name = member.key();
    const auto rule = std::ranges::find(rules, name, &FieldRule::name);
    if (rule == rules.end()) {
      ++ignored;
      continue;
    }
    switch (rule->use) {
      case FieldUse::kServed: break;
      case FieldUse::kIgnored: ++ignored; break;
      case FieldUse::kRefused:
        if (!means_nothing(*rule, member.value())) return refuse_feature(json::join_path(path, name), rule->fix);
        break;
    }
  }
  return {};
}

Status check_object(const json::object& root, std::string_view name, std::span<const FieldRule> rules,
                    std::int32_t& ignored) {
  TG_ASSIGN(const json::object* object, find_object(root, name));
  if (object == nullptr) return {};
  return check_members(*object, rules, name, ignored);
}

bool is_word(const json::value& value, std::initializer_list<std::string_view> words) {
  return value.is_string() && std::ranges::find(words, std::string_view(value.get_string())) != words.end();
}

bool is_object_of_type(const json::value& value, std::initializer_list<std::string_view> words) {
  if (!value.is_object()) return false;
  const json::value* type = value.get_object().if_contains("type");
  return type != nullptr && is_word(*type, words);
}

Result<const json::object*> find_object(const json::object& root, std::string_view name) {
  const json::value* value = root.if_contains(name);
  if (value == nullptr || value->is_null()) return nullptr;
  if (!value->is_object()) return refuse_type(std::string(name), "an object");
  return &value->get_object();
}

Result<std::vector<std::string>> find_strings(const json::object& root, std::string_view name) {
  std::vector<std::string> texts;
  const json::value* value = root.if_contains(name);
  if (value == nullptr || value->is_null()) return texts;
  if (!value->is_array()) return refuse_type(std::string(name), "an array of strings");
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return refuse_type(fmt::format("{}[{}]", name, texts.size()), "a string");
    texts.emplace_back(item.get_string());
  }
  return texts;
}

Result<std::int32_t> find_token_limit(const json::object& root, std::string_view name) {
  TG_ASSIGN(const auto tokens, json::find_int(root, name));
  if (!tokens) return 0;
  if (*tokens < 1 || *tokens > PlanLimits::kCompletionTokensMax) {
    return refuse_value(std::string(name), fmt::format("must be between 1 and {}", PlanLimits::kCompletionTokensMax));
  }
  return static_cast<std::int32_t>(*tokens);
}

void count_rest(const json::object& block, std::initializer_list<std::string_view> known, std::int32_t& ignored) {
  for (const auto& member : block) {
    const std::string_view key = member.key();
    bool is_known = key == "type";
    for (const std::string_view one : known) is_known = is_known || key == one;
    ignored += is_known ? 0 : 1;
  }
}

Status parse_sampling(const json::object& root, PlanSampling& sampling) {
  TG_ASSIGN(sampling.temperature, json::find_double(root, "temperature"));
  TG_ASSIGN(sampling.top_p, json::find_double(root, "top_p"));
  TG_ASSIGN(const auto top_k, json::find_int(root, "top_k"));
  if (top_k && (*top_k < -1 || *top_k > PlanLimits::kTopKMax)) {
    return refuse_value("top_k", fmt::format("must be between 0 (off) and {}", PlanLimits::kTopKMax));
  }
  // -1 also means off, in the dialect of several local servers.
  if (top_k) sampling.top_k = static_cast<std::int32_t>(*top_k < 0 ? 0 : *top_k);
  TG_ASSIGN(const auto seed, json::find_int(root, "seed"));
  if (seed) sampling.seed = static_cast<std::uint64_t>(*seed);
  return {};
}

Result<std::string> parse_text(const json::value& value, const std::string& path,
                               std::span<const std::string_view> types) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_array()) return join_parts(value.get_array(), path, types);
  return refuse_type(path, "a string or an array of text parts");
}

}  // namespace tidegate::gateway
