#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/core/encoding.h"
#include "base/core/result.h"
#include "base/json/json.h"
#include "gateway/core/api_error.h"
#include "gateway/core/plan.h"
#include "tests/fuzz/input.h"

/// What holds for every dialect's parser and every body.
namespace tidegate::fuzz {

inline void claim_text(std::string_view text) { TG_CLAIM("text is UTF-8", is_valid_utf8(text)); }

/// A schema of a plan goes to workers as it is: "" or JSON on one line.
inline void claim_schema(std::string_view schema) {
  claim_text(schema);
  if (schema.empty()) return;
  TG_CLAIM("a schema is bounded", std::ssize(schema) <= gateway::ToolLimits::kSchemaBytesMax);
  TG_CLAIM("a schema is on one line", schema.find('\n') == std::string_view::npos);
  const auto document = json::parse(schema);
  TG_CLAIM("a schema is a JSON object", document && document->is_object());
}

/// Tools, what is asked of the answer's form, and earlier calls.
inline void claim_tools(const gateway::Plan& plan) {
  for (const gateway::PlanTool& tool : plan.tools) {
    TG_CLAIM("a tool has a plain name", gateway::is_tool_name(tool.name));
    claim_text(tool.description);
    claim_schema(tool.parameters);
  }
  claim_schema(plan.response_format.schema);
  claim_text(plan.response_format.name);
  TG_CLAIM("only a schema's format has one",
           plan.response_format.schema.empty() || plan.response_format.kind == gateway::FormatKind::kJsonSchema);
  TG_CLAIM("who must call has tools", !plan.tool_choice.is_forced() || !plan.tools.empty());
  for (const gateway::PlanMessage& message : plan.messages) {
    TG_CLAIM("only assistants call", message.role == gateway::Role::kAssistant || message.tool_calls.empty());
    TG_CLAIM("a tool's message answers a call",
             (message.role == gateway::Role::kTool) == !message.tool_call_id.empty());
    claim_text(message.tool_call_id);
    for (const gateway::ToolCall& call : message.tool_calls) {
      TG_CLAIM("a call has an id and a plain name", !call.id.empty() && gateway::is_tool_name(call.name));
      claim_text(call.id);
      claim_text(call.arguments);
    }
  }
}

/// `names` as the dialect's own check has them.
inline void claim_plan(const gateway::Plan& plan, const gateway::PlanNames& names = {}) {
  using gateway::PlanLimits;
  TG_CLAIM("an accepted plan passes check_plan", gateway::check_plan(plan, "", names));
  TG_CLAIM("a plan asks something", plan.raw.has_value() != !plan.messages.empty());
  TG_CLAIM("a plan names a model", !plan.model.empty() && std::ssize(plan.model) <= PlanLimits::kModelBytesMax);
  claim_text(plan.model);
  claim_text(plan.end_user);
  std::int64_t bytes = gateway::tool_bytes(plan.tools), calls = 0;
  for (const gateway::PlanMessage& message : plan.messages) {
    claim_text(message.content);
    claim_text(message.reasoning);
    TG_CLAIM("only the last message begins the answer", !message.begins_answer || &message == &plan.messages.back());
    TG_CLAIM("only such a message holds thinking", message.begins_answer || message.reasoning.empty());
    bytes += std::ssize(message.content) + std::ssize(message.reasoning) + std::ssize(message.tool_call_id);
    for (const gateway::ToolCall& call : message.tool_calls) {
      bytes += std::ssize(call.id) + std::ssize(call.name) + std::ssize(call.arguments);
    }
    calls += std::ssize(message.tool_calls);
  }
  if (plan.raw) {
    claim_text(plan.raw->text);
    claim_text(plan.raw->suffix.value_or(""));
    bytes += std::ssize(plan.raw->text) + std::ssize(plan.raw->suffix.value_or(""));
  }
  TG_CLAIM("a prompt is bounded", bytes <= PlanLimits::kPromptBytesMax);
  const std::int64_t bound = gateway::prompt_tokens_bound(plan);
  // Templates write some texts twice, and as JSON, where a control character or a number with an exponent grows.
  TG_CLAIM("the bound on tokens counts every byte",
           bound >= bytes && bound <= 10 * bytes + 64 + 24 * std::ssize(plan.messages) + 32 * calls + 512 +
                                          64 * std::ssize(plan.tools));
  claim_tools(plan);
  for (const std::string& stop : plan.sampling.stop) claim_text(stop);
  TG_CLAIM("what has no effect is counted", plan.fields_ignored >= 0);
}

/// A plan for vectors.
inline void claim_embedding(const gateway::Plan& plan) {
  using gateway::PlanLimits;
  TG_CLAIM("an accepted plan passes check_plan", gateway::check_plan(plan, ""));
  TG_CLAIM("a plan names a model", !plan.model.empty() && std::ssize(plan.model) <= PlanLimits::kModelBytesMax);
  claim_text(plan.model);
  claim_text(plan.end_user);
  TG_CLAIM("it asks for vectors and nothing else",
           plan.messages.empty() && !plan.raw && plan.tools.empty() && !plan.is_stream);
  TG_CLAIM("of a bounded number of inputs",
           !plan.embed.empty() && std::ssize(plan.embed) <= PlanLimits::kEmbedInputsMax);
  std::int64_t bytes = 0, ids = 0;
  for (const gateway::PlanEmbedInput& input : plan.embed) {
    TG_CLAIM("an input is a text or token ids", input.text.empty() != input.tokens.empty());
    claim_text(input.text);
    TG_CLAIM("no input is endless", std::ssize(input.tokens) <= PlanLimits::kEmbedTokensMax);
    for (const std::int32_t id : input.tokens) TG_CLAIM("an id counts from 0", id >= 0);
    bytes += std::ssize(input.text);
    ids += std::ssize(input.tokens);
  }
  TG_CLAIM("all together are bounded", bytes + 4 * ids <= PlanLimits::kPromptBytesMax);
  TG_CLAIM("the bound on tokens counts every byte and every id", gateway::prompt_tokens_bound(plan) >= bytes + ids);
  TG_CLAIM("what has no effect is counted", plan.fields_ignored >= 0);
}

inline void claim_refusal(const Error& error) {
  static constexpr std::array<std::string_view, 7> kReasons = {
      "invalid_json",          "missing_field",     "wrong_type",        "invalid_value",
      "unsupported_parameter", "request_too_large", "unsupported_schema"};
  TG_CLAIM("a refused body is the caller's fault", error.code == Code::kInvalidArgument);
  TG_CLAIM("a refusal has one of seven reasons", std::ranges::find(kReasons, error.reason) != kReasons.end());
  TG_CLAIM("a refusal names the field", error.reason == "invalid_json" || !error.field.empty());
  TG_CLAIM("its words name the field too", error.message.find(error.field) != std::string::npos);
  // Places deep in a schema have long names: at most 64 bytes a step.
  TG_CLAIM("its words are short", !error.message.empty() && error.message.size() <= 400 + error.field.size());
  TG_CLAIM("so is its field", error.field.size() <= 2'000);
  claim_text(error.message);
  TG_CLAIM("it is answered as the caller's fault", gateway::to_api_error(error).http_status / 100 == 4);
}

}  // namespace tidegate::fuzz
