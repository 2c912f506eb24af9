// The body of POST /v1/completions, whatever it holds.
#include "gateway/http/completion_parse.h"
#include "tests/fuzz/request_claims.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto plan = tidegate::gateway::parse_completion(tidegate::fuzz::Input(data, size).rest());
  if (plan) {
    tidegate::fuzz::claim_plan(plan->plan);
  } else {
    tidegate::fuzz::claim_refusal(plan.error());
  }
  return 0;
}
