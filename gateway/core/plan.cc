#include "gateway/core/plan.h"

namespace tidegate::gateway {
namespace {

constexpr std::int64_t kTemplateTokensPerRequest = 16;
constexpr std::int64_t kTemplateTokensPerMessage = 8;

}  // namespace

std::optional<Role> parse_role(std::string_view name) {
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "system" || name == "developer") return Role::kSystem;
  return std::nullopt;
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
  }
  return "user";
}

std::int64_t prompt_tokens_bound(const Plan& plan) {
  std::int64_t tokens = kTemplateTokensPerRequest;
  for (const PlanMessage& message : plan.messages) {
    tokens += static_cast<std::int64_t>(message.content.size()) + kTemplateTokensPerMessage;
  }
  return tokens;
}

}  // namespace tidegate::gateway
