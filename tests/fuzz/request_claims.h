#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/core/encoding.h"
#include "base/core/result.h"
#include "gateway/core/api_error.h"
#include "gateway/core/plan.h"
#include "tests/fuzz/input.h"

/// What holds for every dialect's parser and every body.
namespace tidegate::fuzz {

inline void claim_text(std::string_view text) { TG_CLAIM("text is UTF-8", is_valid_utf8(text)); }

/// `names` as the dialect's own check has them.
inline void claim_plan(const gateway::Plan& plan, const gateway::PlanNames& names = {}) {
  using gateway::PlanLimits;
  TG_CLAIM("an accepted plan passes check_plan", gateway::check_plan(plan, "", names));
  TG_CLAIM("a plan asks something", plan.raw.has_value() != !plan.messages.empty());
  TG_CLAIM("a plan names a model", !plan.model.empty() && std::ssize(plan.model) <= PlanLimits::kModelBytesMax);
  claim_text(plan.model);
  claim_text(plan.end_user);
  std::int64_t bytes = 0;
  for (const gateway::PlanMessage& message : plan.messages) {
    claim_text(message.content);
    claim_text(message.reasoning);
    TG_CLAIM("only the last message begins the answer", !message.begins_answer || &message == &plan.messages.back());
    TG_CLAIM("only such a message holds thinking", message.begins_answer || message.reasoning.empty());
    bytes += std::ssize(message.content) + std::ssize(message.reasoning);
  }
  if (plan.raw) {
    claim_text(plan.raw->text);
    claim_text(plan.raw->suffix.value_or(""));
    bytes += std::ssize(plan.raw->text) + std::ssize(plan.raw->suffix.value_or(""));
  }
  TG_CLAIM("a prompt is bounded", bytes <= PlanLimits::kPromptBytesMax);
  const std::int64_t bound = gateway::prompt_tokens_bound(plan);
  TG_CLAIM("the bound on tokens counts every byte",
           bound >= bytes && bound <= PlanLimits::kPromptBytesMax + 16 + 8 * PlanLimits::kMessagesMax);
  for (const std::string& stop : plan.sampling.stop) claim_text(stop);
  TG_CLAIM("what has no effect is counted", plan.fields_ignored >= 0);
}

inline void claim_refusal(const Error& error) {
  static constexpr std::array<std::string_view, 6> kReasons = {
      "invalid_json", "missing_field", "wrong_type", "invalid_value", "unsupported_parameter", "request_too_large"};
  TG_CLAIM("a refused body is the caller's fault", error.code == Code::kInvalidArgument);
  TG_CLAIM("a refusal has one of six reasons", std::ranges::find(kReasons, error.reason) != kReasons.end());
  TG_CLAIM("a refusal names the field", error.reason == "invalid_json" || !error.field.empty());
  TG_CLAIM("its words name the field too", error.message.find(error.field) != std::string::npos);
  TG_CLAIM("its words are short", !error.message.empty() && error.message.size() <= 400);
  claim_text(error.message);
  TG_CLAIM("it is answered as the caller's fault", gateway::to_api_error(error).http_status / 100 == 4);
}

}  // namespace tidegate::fuzz
