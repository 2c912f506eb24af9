#include "gateway/schema/json_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/core/encoding.h"
#include "base/json/json_dump.h"
#include "gateway/core/plan_tools.h"

namespace tidegate::gateway {
namespace {

constexpr std::array<std::string_view, 7> kTypes = {"object", "array", "string", "number", "integer", "boolean", "null"};
constexpr std::array<std::string_view, 9> kFormats = {"date-time", "date", "time", "duration", "email",
                                                      "hostname",  "ipv4", "ipv6", "uuid"};
constexpr std::array<std::string_view, 3> kDefinitions = {"$defs", "definitions", "$def"};
/// They say something to a reader and promise nothing.
constexpr std::array<std::string_view, 10> kRemarks = {"title",    "description", "default",    "examples", "$schema",
                                                       "$id",      "$comment",    "deprecated", "readOnly", "writeOnly"};
constexpr std::array<std::string_view, 4> kCounts = {"minLength", "maxLength", "minItems", "maxItems"};
constexpr std::array<std::string_view, 4> kBounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};

bool is_one_of(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

std::unexpected<Error> refuse(std::string field, std::string_view rule, std::string_view reason = "invalid_value") {
  std::string message = fmt::format("'{}' {}.", field, rule);
  return fail(Code::kInvalidArgument, std::string(reason), std::move(message), std::move(field));
}

/// Names inside a schema come from outside: enough of one to find it.
std::string below(const std::string& path, std::string_view name) {
  return json::join_path(path, utf8_prefix(name, 64));
}

/// Checks a strict schema to its leaves.
class StrictCheck {
 public:
  explicit StrictCheck(const json::object& root) : root_(root) {}

  Status check(const json::value& value, const std::string& path, std::int64_t depth) {
    if (!value.is_object()) return refuse(path, "must be a schema: a JSON object", "wrong_type");
    if (depth > SchemaLimits::kDepthMax) {
      return refuse(path, fmt::format("is deeper than {} schemas; flatten it, or use $defs", SchemaLimits::kDepthMax));
    }
    const json::object& schema = value.get_object();
    for (const auto& member : schema) {
      TG_TRY(check_keyword(member.key(), member.value(), below(path, member.key()), depth));
    }
    return check_object(schema, path);
  }

 private:
  Status check_keyword(std::string_view name, const json::value& value, const std::string& here, std::int64_t depth) {
    if (is_one_of(kRemarks, name)) return {};
    if (name == "type") return check_type(value, here);
    if (name == "properties" || is_one_of(kDefinitions, name)) return check_named(value, here, depth);
    if (name == "items") return check(value, here, depth + 1);
    if (name == "anyOf") return check_any_of(value, here, depth);
    if (name == "enum") return check_enum(value, here);
    if (name == "const") return {};
    if (name == "$ref") return check_reference(value, here);
    if (name == "required" || name == "additionalProperties") return {};  // read with the whole object
    if (name == "pattern") return check_pattern(value, here);
    if (name == "format") return check_format(value, here);
    if (is_one_of(kCounts, name)) {
      if (value.is_int64() && value.get_int64() >= 0) return {};
      return refuse(here, "must be an integer, 0 or more");
    }
    if (is_one_of(kBounds, name)) {
      if (value.is_number()) return {};
      return refuse(here, "must be a number", "wrong_type");
    }
    if (name == "multipleOf") {
      if (value.is_number() && value.to_number<double>() > 0) return {};
      return refuse(here, "must be a number above 0");
    }
    return refuse(here, "is a keyword that strict schemas do not support here; leave it out, or send \"strict\": false",
                  "unsupported_schema");
  }

  static Status check_type(const json::value& value, const std::string& here) {
    const auto is_type = [](const json::value& one) {
      return one.is_string() && is_one_of(kTypes, std::string_view(one.get_string()));
    };
    if (is_type(value)) return {};
    if (value.is_array() && !value.get_array().empty() && std::ranges::all_of(value.get_array(), is_type)) return {};
    return refuse(here, fmt::format("must be one of {}, or an array of them", fmt::join(kTypes, ", ")));
  }

  Status check_named(const json::value& value, const std::string& here, std::int64_t depth) {
    if (!value.is_object()) return refuse(here, "must be an object of schemas", "wrong_type");
    properties_ += std::ssize(value.get_object());
    if (properties_ > SchemaLimits::kPropertiesMax) {
      return refuse(here, fmt::format("brings the schema over {} properties", SchemaLimits::kPropertiesMax));
    }
    for (const auto& member : value.get_object()) {
      TG_TRY(check(member.value(), below(here, member.key()), depth + 1));
    }
    return {};
  }

  Status check_any_of(const json::value& value, const std::string& here, std::int64_t depth) {
    if (!value.is_array() || value.get_array().empty()) return refuse(here, "must be an array of at least one schema");
    const json::array& choices = value.get_array();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      TG_TRY(check(choices[i], fmt::format("{}[{}]", here, i), depth + 1));
    }
    return {};
  }

  Status check_enum(const json::value& value, const std::string& here) {
    if (!value.is_array() || value.get_array().empty()) return refuse(here, "must be an array of at least one value");
    values_ += std::ssize(value.get_array());
    if (values_ <= SchemaLimits::kEnumValuesMax) return {};
    return refuse(here, fmt::format("brings the schema over {} values", SchemaLimits::kEnumValuesMax));
  }

  Status check_reference(const json::value& value, const std::string& here) const {
    if (!value.is_string()) return refuse(here, "must be a string", "wrong_type");
    const std::string_view target(value.get_string());
    if (target == "#") return {};
    for (const std::string_view place : kDefinitions) {
      const std::string start = fmt::format("#/{}/", place);
      if (!target.starts_with(start)) continue;
      const json::value* definitions = root_.if_contains(place);
      const std::string_view name = target.substr(start.size());
      if (definitions != nullptr && definitions->is_object() && definitions->get_object().contains(name)) return {};
    }
    return refuse(here, "must be \"#\" or \"#/$defs/NAME\" with a NAME that the schema defines at its root");
  }

  static Status check_pattern(const json::value& value, const std::string& here) {
    if (!value.is_string()) return refuse(here, "must be a string", "wrong_type");
    if (std::ssize(value.get_string()) <= SchemaLimits::kPatternBytesMax) return {};
    return refuse(here, fmt::format("must be at most {} bytes long", SchemaLimits::kPatternBytesMax));
  }

  static Status check_format(const json::value& value, const std::string& here) {
    if (value.is_string() && is_one_of(kFormats, std::string_view(value.get_string()))) return {};
    return refuse(here, fmt::format("must be one of {}", fmt::join(kFormats, ", ")), "unsupported_schema");
  }

  /// What OpenAI and DeepSeek ask of strict objects: nothing optional, nothing unnamed.
  static Status check_object(const json::object& schema, const std::string& path) {
    const json::value* type = schema.if_contains("type");
    const bool is_object = type != nullptr && type->is_string() && std::string_view(type->get_string()) == "object";
    const json::value* properties = schema.if_contains("properties");
    if (!is_object && properties == nullptr) return {};
    const json::value* more = schema.if_contains("additionalProperties");
    if (more == nullptr || !more->is_bool() || more->get_bool()) {
      return refuse(below(path, "additionalProperties"), "must be there and false in every object of a strict schema");
    }
    const json::value* required = schema.if_contains("required");
    const json::array none;
    if (required != nullptr && !required->is_array()) {
      return refuse(below(path, "required"), "must be an array of names", "wrong_type");
    }
    const json::array& names = required != nullptr ? required->get_array() : none;
    std::set<std::string_view> known;  // a schema may name thousands
    for (const json::value& name : names) {
      if (!name.is_string()) return refuse(below(path, "required"), "must be an array of names", "wrong_type");
      const std::string_view wanted(name.get_string());
      known.insert(wanted);
      if (properties == nullptr || !properties->get_object().contains(wanted)) {
        return refuse(below(path, "required"), fmt::format("names '{}', which is no property", utf8_prefix(wanted, 64)));
      }
    }
    if (properties == nullptr) return {};
    for (const auto& member : properties->get_object()) {
      const std::string_view key = member.key();
      if (known.contains(key)) continue;
      return refuse(below(path, "required"),
                    fmt::format("must name every property of a strict schema; '{}' is missing (give it the type "
                                "[..., \"null\"] if it may be left open)",
                                utf8_prefix(key, 64)));
    }
    return {};
  }

  const json::object& root_;
  std::int64_t properties_ = 0;
  std::int64_t values_ = 0;
};

Result<json::value> parse_text(std::string_view text, const std::string& path) {
  auto document = json::parse(text);
  if (document) return document;
  return refuse(path, "must be JSON: " + document.error().message, "invalid_json");
}

}  // namespace

Result<std::string> read_schema(const json::value& schema, const std::string& path, bool is_strict) {
  if (!schema.is_object()) return refuse(path, "must be a JSON schema: an object", "wrong_type");
  std::string text = json::dump(schema);
  if (std::ssize(text) > ToolLimits::kSchemaBytesMax) {
    return refuse(path, fmt::format("has {} bytes; send at most {}", text.size(), ToolLimits::kSchemaBytesMax),
                  "request_too_large");
  }
  if (is_strict) {
    StrictCheck strict(schema.get_object());
    TG_TRY(strict.check(schema, path, 1));
  }
  return text;
}

Result<std::string> read_parameters(const json::value& schema, const std::string& path, bool is_strict) {
  TG_ASSIGN(std::string text, read_schema(schema, path, is_strict));
  const json::value* type = schema.get_object().if_contains("type");
  const bool is_object = type != nullptr && type->is_string() && std::string_view(type->get_string()) == "object";
  const bool is_unsaid = type == nullptr || type->is_null();
  if (!is_object && !is_unsaid) {
    return refuse(below(path, "type"), "must be \"object\": a function's parameters have names");
  }
  if (is_strict && !is_object) return refuse(below(path, "type"), "must be \"object\" when the function is strict");
  return text;
}

Result<std::string> read_schema_text(std::string_view text, const std::string& path, bool is_strict) {
  if (text.empty()) return std::string();
  TG_ASSIGN(const json::value schema, parse_text(text, path));
  return read_schema(schema, path, is_strict);
}

Result<std::string> read_parameters_text(std::string_view text, const std::string& path, bool is_strict) {
  if (text.empty()) return std::string();
  TG_ASSIGN(const json::value schema, parse_text(text, path));
  return read_parameters(schema, path, is_strict);
}

}  // namespace tidegate::gateway
