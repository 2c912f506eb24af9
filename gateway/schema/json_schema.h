#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json/json.h"

/// JSON schemas from outside, before a worker sees them.
namespace tidegate::gateway {

struct SchemaLimits {
  static constexpr std::int64_t kDepthMax = 12;        ///< schemas inside of schemas
  static constexpr std::int64_t kPropertiesMax = 1'000;  ///< of all objects together
  static constexpr std::int64_t kEnumValuesMax = 1'000;  ///< of all enums together
  static constexpr std::int64_t kPatternBytesMax = 1'024;
};

/// The schema on one line, members in their order.
///
/// Every schema is an object of at most ToolLimits::kSchemaBytesMax bytes. A strict one is a promise that the answer will
/// follow it, so it is checked to the leaves, and whatever could not be kept is refused by name. It may hold
///   type (one or several) properties required additionalProperties items enum const anyOf $ref $defs
///   minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems
/// and words that promise nothing (title, description, default, examples, $schema, $id, $comment, deprecated, readOnly,
/// writeOnly). Its objects list every property in `required` and say "additionalProperties": false. References stay within
/// the schema: "#", "#/$defs/NAME", and DeepSeek's "#/$def/NAME".
///
/// Fails: invalid_argument/wrong_type, invalid_value, unsupported_schema, request_too_large, naming the place below `path`.
Result<std::string> read_schema(const json::value& schema, const std::string& path, bool is_strict);

/// The same for the parameters of a function: their type is object, or is not said.
Result<std::string> read_parameters(const json::value& schema, const std::string& path, bool is_strict);

/// For edges that get schemas as text. "" is none.
Result<std::string> read_schema_text(std::string_view text, const std::string& path, bool is_strict);
Result<std::string> read_parameters_text(std::string_view text, const std::string& path, bool is_strict);

}  // namespace tidegate::gateway
