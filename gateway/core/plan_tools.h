#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::gateway {

/// A function that the model may ask its caller to run. Schemas are text here: gateway/schema has read them.
struct PlanTool {
  std::string name;
  std::string description;
  std::string parameters;  ///< a JSON schema of type object, on one line; "" = the function takes nothing
  bool strict = false;     ///< the arguments must follow the schema
};

enum class ToolMode : std::uint8_t {
  kAuto,      ///< the model decides
  kNone,
  kRequired,  ///< at least one call
  kFunction,  ///< a call of PlanToolChoice::name
};

struct PlanToolChoice {
  ToolMode mode = ToolMode::kAuto;
  std::string name;

  bool is_forced() const { return mode == ToolMode::kRequired || mode == ToolMode::kFunction; }
};

enum class FormatKind : std::uint8_t { kText, kJsonObject, kJsonSchema };

/// What the answer's content must look like.
struct PlanFormat {
  FormatKind kind = FormatKind::kText;
  std::string name;
  std::string schema;  ///< of kJsonSchema, on one line
  bool strict = false;
};

struct ToolLimits {
  static constexpr std::int64_t kToolsMax = 128;
  static constexpr std::int64_t kNameBytesMax = 64;
  static constexpr std::int64_t kDescriptionBytesMax = 64 << 10;
  static constexpr std::int64_t kSchemaBytesMax = 64 << 10;
  /// Of all tools together: every request of an agent carries them.
  static constexpr std::int64_t kToolsBytesMax = 1 << 20;
  static constexpr std::int64_t kCallIdBytesMax = 128;
};

/// ^[a-zA-Z0-9_-]{1,64}$
bool is_tool_name(std::string_view name);

/// What a dialect calls the places that check_tools names.
struct ToolNames {
  std::string_view tools = "tools";
  std::string_view member = "";  ///< between an item of tools and its name, e.g. ".function"
  std::string_view parameters = "parameters";
  std::string_view tool_choice = "tool_choice";
  std::string_view response_format = "response_format";
};

/// The bounds of tools, and that a choice is one of them.
/// Fails: invalid_argument/invalid_value or request_too_large, naming field, limit and fix.
Status check_tools(const std::vector<PlanTool>& tools, const PlanToolChoice& choice, const PlanFormat& format,
                   const ToolNames& names);

/// Bytes of everything that a template writes into the prompt.
std::int64_t tool_bytes(const std::vector<PlanTool>& tools);

}  // namespace tidegate::gateway
