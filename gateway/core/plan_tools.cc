#include "gateway/core/plan_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

std::unexpected<Error> refuse(std::string field, std::string_view rule, std::string_view reason = "invalid_value") {
  std::string message = fmt::format("'{}' {}.", field, rule);
  return fail(Code::kInvalidArgument, std::string(reason), std::move(message), std::move(field));
}

Status check_tool(const PlanTool& tool, const std::string& path, const ToolNames& names) {
  if (!is_tool_name(tool.name)) {
    return refuse(path + ".name", "must be 1 to 64 characters, each a letter, a digit, '_' or '-'");
  }
  if (std::ssize(tool.description) > ToolLimits::kDescriptionBytesMax) {
    return refuse(path + ".description", fmt::format("has {} bytes; send at most {}", tool.description.size(),
                                                     ToolLimits::kDescriptionBytesMax));
  }
  if (std::ssize(tool.parameters) > ToolLimits::kSchemaBytesMax) {
    return refuse(fmt::format("{}.{}", path, names.parameters),
                  fmt::format("has {} bytes; send at most {}", tool.parameters.size(), ToolLimits::kSchemaBytesMax));
  }
  return {};
}

}  // namespace

bool is_tool_name(std::string_view name) {
  if (name.empty() || std::ssize(name) > ToolLimits::kNameBytesMax) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::int64_t tool_bytes(const std::vector<PlanTool>& tools) {
  std::int64_t bytes = 0;
  for (const PlanTool& tool : tools) {
    bytes += std::ssize(tool.name) + std::ssize(tool.description) + std::ssize(tool.parameters);
  }
  return bytes;
}

Status check_tools(const std::vector<PlanTool>& tools, const PlanToolChoice& choice, const PlanFormat& format,
                   const ToolNames& names) {
  if (std::ssize(tools) > ToolLimits::kToolsMax) {
    return refuse(std::string(names.tools),
                  fmt::format("has {} tools; send at most {}", tools.size(), ToolLimits::kToolsMax));
  }
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("{}[{}]{}", names.tools, i, names.member);
    TG_TRY(check_tool(tools[i], path, names));
    if (!seen.insert(tools[i].name).second) {
      return refuse(path + ".name", fmt::format("repeats '{}'; give every tool a name of its own", tools[i].name));
    }
  }
  if (tool_bytes(tools) > ToolLimits::kToolsBytesMax) {
    return refuse(std::string(names.tools),
                  fmt::format("has {} bytes; send at most {}", tool_bytes(tools), ToolLimits::kToolsBytesMax),
                  "request_too_large");
  }
  if (choice.is_forced() && tools.empty()) {
    return refuse(std::string(names.tool_choice), fmt::format("asks for a call, but there are no '{}'", names.tools));
  }
  if (choice.mode == ToolMode::kFunction && !seen.contains(choice.name)) {
    return refuse(std::string(names.tool_choice),
                  fmt::format("names '{}', which is none of '{}'", utf8_prefix(choice.name, 64), names.tools));
  }
  if (choice.is_forced() && format.kind != FormatKind::kText) {
    return refuse(std::string(names.response_format),
                  fmt::format("has no effect when '{}' asks for a call; send one of the two", names.tool_choice));
  }
  return {};
}

}  // namespace tidegate::gateway
