#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "worker/backend/backend.h"

namespace tidegate::worker {

class Tokenizer;

/// How likely the model held one token of an answer, and which it held likelier or nearly as likely.
struct TokenLogprob {
  struct Alternative {
    std::string bytes;
    double logprob = 0;
    bool operator==(const Alternative&) const = default;
  };
  std::string bytes;  ///< not always whole UTF-8
  double logprob = 0;
  std::vector<Alternative> top;  ///< best first; equal ones by lower id
  bool in_reasoning = false;
  bool operator==(const TokenLogprob&) const = default;
};

/// log softmax of the model's own logits below `limit`: before temperature, penalties, bias and formats, in double.
TokenLogprob measure_logprob(std::span<const float> logits, TokenId limit, TokenId chosen, std::int32_t top,
                             const Tokenizer& tokenizer);

}  // namespace tidegate::worker
