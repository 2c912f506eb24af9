// The body of POST /v1/messages, whatever it holds.
#include "gateway/http/anthropic_parse.h"
#include "tests/fuzz/request_claims.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto plan = tidegate::gateway::parse_anthropic_messages(tidegate::fuzz::Input(data, size).rest());
  if (plan) {
    tidegate::fuzz::claim_plan(*plan);
  } else {
    tidegate::fuzz::claim_refusal(plan.error());
  }
  return 0;
}
