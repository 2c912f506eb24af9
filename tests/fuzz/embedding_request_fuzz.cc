// The body of POST /v1/embeddings, whatever it holds.
#include "gateway/http/embedding_parse.h"
#include "tests/fuzz/request_claims.h"

namespace tidegate::gateway {
namespace {

void claim_embedding(const EmbeddingRequest& request) {
  const Plan& plan = request.plan;
  TG_CLAIM("an accepted plan passes check_plan", check_plan(plan, ""));
  TG_CLAIM("a plan names a model", !plan.model.empty() && std::ssize(plan.model) <= PlanLimits::kModelBytesMax);
  fuzz::claim_text(plan.model);
  fuzz::claim_text(plan.end_user);
  TG_CLAIM("it asks for vectors and nothing else",
           plan.messages.empty() && !plan.raw && plan.tools.empty() && !plan.is_stream);
  TG_CLAIM("of a bounded number of inputs",
           !plan.embed.empty() && std::ssize(plan.embed) <= PlanLimits::kEmbedInputsMax);
  std::int64_t bytes = 0, ids = 0;
  for (const PlanEmbedInput& input : plan.embed) {
    TG_CLAIM("an input is a text or token ids", input.text.empty() != input.tokens.empty());
    fuzz::claim_text(input.text);
    TG_CLAIM("no input is endless", std::ssize(input.tokens) <= PlanLimits::kEmbedTokensMax);
    for (const std::int32_t id : input.tokens) TG_CLAIM("an id counts from 0", id >= 0);
    bytes += std::ssize(input.text);
    ids += std::ssize(input.tokens);
  }
  TG_CLAIM("all together are bounded", bytes + 4 * ids <= PlanLimits::kPromptBytesMax);
  TG_CLAIM("the bound on tokens counts every byte and every id", prompt_tokens_bound(plan) >= bytes + ids);
  TG_CLAIM("what has no effect is counted", plan.fields_ignored >= 0);
}

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto request = tidegate::gateway::parse_embedding(tidegate::fuzz::Input(data, size).rest());
  if (request) {
    tidegate::gateway::claim_embedding(*request);
  } else {
    tidegate::fuzz::claim_refusal(request.error());
  }
  return 0;
}
