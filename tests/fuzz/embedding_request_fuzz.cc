// The body of POST /v1/embeddings, whatever it holds.
#include "gateway/http/embedding_parse.h"
#include "tests/fuzz/request_claims.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto request = tidegate::gateway::parse_embedding(tidegate::fuzz::Input(data, size).rest());
  if (request) {
    tidegate::fuzz::claim_embedding(request->plan);
  } else {
    tidegate::fuzz::claim_refusal(request.error());
  }
  return 0;
}
