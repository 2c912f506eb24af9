#include "gateway/rpc/shared_fields.h"

#include <cstdint>

namespace tidegate::gateway {

Status decode_tier(const std::string& service_tier, Plan& plan) {
  if (service_tier.empty() || service_tier == "auto") return {};
  plan.names_tier = true;
  plan.tier = parse_tier(service_tier);
  if (plan.tier) return {};
  return fail(Code::kInvalidArgument, "invalid_value",
              "'service_tier' must be 'auto', 'default', 'flex' or 'priority'.", "service_tier");
}

std::string serving_model(const std::string& model, const std::string& variant) {
  return variant.empty() ? model : model + "/" + variant;
}

void encode_usage(const TokenUsage& from, v1::Usage& to) {
  to.set_prompt_tokens(static_cast<std::int32_t>(from.prompt));
  to.set_cached_tokens(static_cast<std::int32_t>(from.cached));
  to.set_completion_tokens(static_cast<std::int32_t>(from.completion));
  to.set_reasoning_tokens(static_cast<std::int32_t>(from.reasoning));
  to.set_drafted_tokens(static_cast<std::int32_t>(from.drafted));
  to.set_accepted_tokens(static_cast<std::int32_t>(from.accepted));
  to.set_device_us(from.device_us);
}

void encode_cost(const Settlement& from, v1::Cost& to) {
  to.set_amount(from.amount.to_string());
  to.set_currency(from.currency);
  to.set_band(from.band);
  to.set_price_version(from.price_version);
}

Error unreadable_answer() {
  return {Code::kDataLoss, "bad_answer", "the stored answer is not one this gateway can read"};
}

}  // namespace tidegate::gateway
