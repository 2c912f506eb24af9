#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/core/result.h"
#include "worker/engine/grammar/mask_cache.h"
#include "worker/engine/grammar/matcher.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {

/// What the content of one answer may still say.
struct Constraint {
  grammar::Matcher matcher;
  std::shared_ptr<grammar::MaskTable> masks;  ///< of the matcher's grammar; shared with other sequences that obey it
};

/// The engine's side of grammars: which tokens each constrained sequence may take next. One thread.
///
/// Thinking is free, but may not be the end: the grammar begins behind </think>, and an answer without content would
/// break it. In the content, an end token may come only where a sentence of the grammar ends, and where nothing can
/// follow it, nothing else may come.
class Constraints {
 public:
  /// `limit` is the sampler's.
  Constraints(const Tokenizer& tokenizer, std::span<const TokenId> end_tokens, TokenId limit);

  /// `begun` is content that stands in the prompt already. Fails: invalid_argument/constraint_mismatch (it is no
  /// beginning of a sentence), failed_precondition/constraint_unsupported (the vocabulary cannot spell every text).
  Result<Constraint> open(std::shared_ptr<const grammar::Grammar> grammar, std::string_view begun);

  /// The next token's choices, until the next call.
  const grammar::TokenMask& allowed(Constraint& constraint, bool in_reasoning);

 private:
  grammar::MaskCache cache_;
  grammar::TokenMask ends_;
  grammar::TokenMask thoughts_;  ///< everything but ends_
  grammar::TokenMask next_;
};

}  // namespace tidegate::worker
