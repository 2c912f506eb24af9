#include "gateway/rpc/embed_codec.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "gateway/rpc/shared_fields.h"

namespace tidegate::gateway {
namespace {

void append_vector(const std::vector<float>& from, v1::EmbedResponse& to) {
  to.add_vectors()->mutable_values()->Add(from.begin(), from.end());
}

}  // namespace

Result<Plan> decode_embed(v1::EmbedRequest request) {
  Plan plan;
  plan.model = std::move(*request.mutable_model());
  plan.end_user = std::move(*request.mutable_user());
  TG_TRY(check_embed_count(request.input_size()));
  plan.embed.reserve(static_cast<std::size_t>(request.input_size()));
  for (v1::EmbedRequest::Input& from : *request.mutable_input()) {
    PlanEmbedInput input;
    input.text = std::move(*from.mutable_text());
    input.tokens.assign(from.tokens().begin(), from.tokens().end());
    TG_TRY(check_embed_input(input, fmt::format("input[{}]", plan.embed.size())));
    plan.embed.push_back(std::move(input));
  }
  TG_TRY(decode_tier(request.service_tier(), plan));
  TG_TRY(check_plan(plan, ""));
  return plan;
}

v1::EmbedResponse encode_embedding(const RequestId& request, const std::string& model, const std::string& variant,
                                   const AnswerEnd& end, ServiceTier tier) {
  v1::EmbedResponse response;
  response.set_request_id(request.to_string());
  response.set_model(serving_model(model, variant));
  append_vector(end.embedding, response);
  for (const AnswerPart& other : end.others) append_vector(other.embedding, response);
  encode_usage(end.usage, *response.mutable_usage());
  encode_cost(end.settlement, *response.mutable_cost());
  response.set_receipt(end.settlement.receipt);
  response.set_service_tier(std::string(tier_name(tier)));
  return response;
}

Result<v1::EmbedResponse> read_kept_embedding(const std::string& bytes) {
  v1::EmbedResponse response;
  if (!response.ParseFromString(bytes)) return fail(unreadable_answer());
  return response;
}

}  // namespace tidegate::gateway
