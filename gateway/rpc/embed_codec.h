#pragma once

#include <string>

#include "base/core/ids.h"
#include "gateway/core/answer_end.h"
#include "gateway/core/plan.h"
#include "gateway/core/service_tier.h"
#include "tidegate/v1/inference.pb.h"

namespace tidegate::gateway {

/// The rules of POST /v1/embeddings; fields have the same names.
/// Fails: invalid_argument/invalid_value or request_too_large with the field.
Result<Plan> decode_embed(v1::EmbedRequest request);

/// `end`: whole, with the vectors of all inputs. `variant`: "" when the worker did not say.
v1::EmbedResponse encode_embedding(const RequestId& request, const std::string& model, const std::string& variant,
                                   const AnswerEnd& end, ServiceTier tier);
/// One that was kept for a repeat of its request, serialised. Fails: data_loss/bad_answer.
Result<v1::EmbedResponse> read_kept_embedding(const std::string& bytes);

}  // namespace tidegate::gateway
