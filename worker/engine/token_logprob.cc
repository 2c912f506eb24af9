#include "worker/engine/token_logprob.h"

#include <algorithm>
#include <cmath>

#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {

TokenLogprob measure_logprob(std::span<const float> logits, TokenId limit, TokenId chosen, std::int32_t top,
                             const Tokenizer& tokenizer) {
  const auto logit = [logits](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
  const std::span<const float> known = logits.first(static_cast<std::size_t>(limit));
  const double most = *std::ranges::max_element(known);
  double sum = 0;
  for (const float value : known) sum += std::exp(value - most);
  const double total = most + std::log(sum);

  std::vector<TokenId> best;  // ids come in rising order, so a later one of equal logit stays behind
  for (TokenId id = 0; id < limit && top > 0; ++id) {
    const bool is_full = best.size() == static_cast<std::size_t>(top);
    if (is_full && !(logit(id) > logit(best.back()))) continue;
    if (is_full) best.pop_back();
    const auto behind = std::ranges::find_if(best, [&](TokenId other) { return logit(other) < logit(id); });
    best.insert(behind, id);
  }

  TokenLogprob out;
  out.bytes = tokenizer.token_bytes(chosen);
  out.logprob = logit(chosen) - total;
  for (const TokenId id : best) out.top.push_back({std::string(tokenizer.token_bytes(id)), logit(id) - total});
  return out;
}

}  // namespace tidegate::worker
