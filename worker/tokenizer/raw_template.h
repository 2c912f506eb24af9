#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "worker/tokenizer/raw_prompt.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {

/// How a raw prompt becomes tokens:
///
///   BOS text
///   BOS <｜fim▁begin｜>text<｜fim▁hole｜>suffix<｜fim▁end｜>      to fill in the middle
///
/// Control tokens are placed by id; all text is encoded with AddedTokens::kRefuse, so that no prompt can forge a
/// turn. Immutable; thread-safe. The tokenizer must outlive it.
class RawTemplate {
 public:
  RawTemplate(const Tokenizer& tokenizer, TokenId bos);

  /// At least one id. Fails: invalid_argument/unsupported_parameter (suffix) when the vocabulary has no tokens to
  /// fill in the middle.
  Result<std::vector<TokenId>> encode(const RawPrompt& prompt) const;

 private:
  struct FillTokens {
    TokenId begin;
    TokenId hole;
    TokenId end;
  };
  void append(std::string_view text, std::vector<TokenId>& ids) const;

  const Tokenizer* tokenizer_;
  TokenId bos_;
  std::optional<FillTokens> fill_;
};

}  // namespace tidegate::worker
