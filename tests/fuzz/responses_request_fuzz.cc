// The body of POST /v1/responses, whatever it holds.
#include "gateway/http/responses_parse.h"
#include "tests/fuzz/request_claims.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto plan = tidegate::gateway::parse_responses(tidegate::fuzz::Input(data, size).rest());
  if (plan) {
    tidegate::fuzz::claim_plan(*plan);
  } else {
    tidegate::fuzz::claim_refusal(plan.error());
  }
  return 0;
}
