#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tidegate::gateway {

/// How likely the model held one token of an answer, and which it held likelier or nearly as likely.
struct TokenLogprob {
  struct Alternative {
    std::string bytes;
    double logprob = 0;
    bool operator==(const Alternative&) const = default;
  };
  std::string bytes;  ///< not always whole UTF-8
  double logprob = 0;
  std::vector<Alternative> top;  ///< best first
  bool in_reasoning = false;
  bool operator==(const TokenLogprob&) const = default;
};
using TokenLogprobs = std::vector<TokenLogprob>;

/// `more` came behind `into`.
inline void append_logprobs(TokenLogprobs& into, TokenLogprobs more) {
  if (into.empty()) {
    into = std::move(more);
    return;
  }
  for (TokenLogprob& one : more) into.push_back(std::move(one));
}

}  // namespace tidegate::gateway
