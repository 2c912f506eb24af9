#include "worker/engine/constraint.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tidegate::worker {
namespace {

std::shared_ptr<const grammar::Vocabulary> vocabulary_of(const Tokenizer& tokenizer,
                                                         std::span<const TokenId> end_tokens, TokenId limit) {
  std::vector<grammar::Vocabulary::Token> tokens;
  for (TokenId id = 0; id < limit; ++id) {
    if (std::ranges::find(end_tokens, id) != end_tokens.end()) continue;
    const auto kind = tokenizer.is_control(id) ? grammar::TokenKind::kControl : grammar::TokenKind::kText;
    tokens.push_back({.id = id, .bytes = tokenizer.token_bytes(id), .kind = kind});
  }
  return std::make_shared<const grammar::Vocabulary>(tokens, limit);
}

}  // namespace

Constraints::Constraints(const Tokenizer& tokenizer, std::span<const TokenId> end_tokens, TokenId limit)
    : cache_(vocabulary_of(tokenizer, end_tokens, limit)), ends_(limit), thoughts_(limit), next_(limit) {
  for (const TokenId id : end_tokens) {
    if (id >= 0 && id < limit) ends_.set(id);
  }
  for (TokenId id = 0; id < limit; ++id) {
    if (!ends_.test(id)) thoughts_.set(id);
  }
}

Result<Constraint> Constraints::open(std::shared_ptr<const grammar::Grammar> grammar, std::string_view begun) {
  if (!cache_.vocabulary().is_complete()) {
    return fail(Code::kFailedPrecondition, "constraint_unsupported",
                "this model's vocabulary lacks tokens for single bytes, so it cannot be held to a format",
                "response_format");
  }
  auto masks = cache_.table_for(*grammar);
  Constraint constraint{grammar::Matcher(std::move(grammar)), std::move(masks)};
  if (!begun.empty() && !constraint.matcher.accept(begun)) {
    return fail(Code::kInvalidArgument, "constraint_mismatch",
                "the beginning of the answer in the last message does not fit the response format; leave it out or "
                "let it begin as the format demands",
                "messages");
  }
  return constraint;
}

const grammar::TokenMask& Constraints::allowed(Constraint& constraint, bool in_reasoning) {
  if (in_reasoning) return thoughts_;
  cache_.fill(constraint.matcher, *constraint.masks, next_);
  if (constraint.matcher.can_end()) next_.add(ends_);
  return next_;
}

}  // namespace tidegate::worker
