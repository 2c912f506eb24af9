#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gateway/core/token_logprob.h"

/// Log probabilities as JSON. A token is not always whole UTF-8: then its text spells its bytes as \xe6 does.
namespace tidegate::gateway {

/// {"token","logprob","bytes","top_logprobs"}, a comma between two: what chat completions and Responses have in common.
void append_token_logprobs(std::string& out, std::span<const TokenLogprob> tokens);

/// {"content":[...],"reasoning_content":[...],"refusal":null}: of a choice of a chat completion, in DeepSeek's form, which is
/// OpenAI's where nothing is thought; null without any.
void append_chat_logprobs(std::string& out, std::span<const TokenLogprob> tokens);

/// The form of completions: four arrays of one length. Offsets count characters.
class CompletionLogprobs {
 public:
  /// {"tokens","token_logprobs","top_logprobs","text_offset"}; goes on where the last call ended. null without any.
  void append(std::string& out, std::span<const TokenLogprob> tokens);

 private:
  std::int64_t offset_ = 0;  ///< of the next token in the text
};

}  // namespace tidegate::gateway
