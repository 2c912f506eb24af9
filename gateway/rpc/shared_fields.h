#pragma once

#include <string>

#include "gateway/core/plan.h"
#include "gateway/core/settlement.h"
#include "gateway/core/usage.h"
#include "tidegate/v1/inference.pb.h"

/// What messages of several methods say alike.
namespace tidegate::gateway {

/// Fails: invalid_argument/invalid_value with the field `service_tier`.
Status decode_tier(const std::string& service_tier, Plan& plan);

/// `variant`: which of the model answers; "" when the worker did not say.
std::string serving_model(const std::string& model, const std::string& variant);
void encode_usage(const TokenUsage& from, v1::Usage& to);
void encode_cost(const Settlement& from, v1::Cost& to);

/// Of an answer kept for a repeat that is none of ours: data_loss/bad_answer.
Error unreadable_answer();

}  // namespace tidegate::gateway
