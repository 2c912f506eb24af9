#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/prompt_writer.h"
#include "worker/tokenizer/tool_spec.h"

/// The chat templates of DeepSeek's models. chat_template.h shows the forms.
namespace tidegate::worker {

enum class DeepSeekKind : std::uint8_t { kR1, kV3, kV31 };

/// Ids of the template's tokens; -1 for those that a vocabulary may lack.
struct DeepSeekTokens {
  TokenId bos = -1;
  TokenId eos = -1;
  TokenId user = -1;
  TokenId assistant = -1;
  TokenId think = -1;
  TokenId think_end = -1;
  TokenId calls_begin = -1;
  TokenId calls_end = -1;
  TokenId call_begin = -1;
  TokenId call_end = -1;
  TokenId separator = -1;
  TokenId outputs_begin = -1;
  TokenId outputs_end = -1;
  TokenId output_begin = -1;
  TokenId output_end = -1;

  bool can_call() const {
    return calls_begin >= 0 && calls_end >= 0 && call_begin >= 0 && call_end >= 0 && separator >= 0 &&
           outputs_begin >= 0 && outputs_end >= 0 && output_begin >= 0 && output_end >= 0;
  }
};

/// `tokens` has what the messages and tools need.
void write_deepseek_prompt(DeepSeekKind kind, const DeepSeekTokens& tokens, std::span<const ChatMessage> messages,
                           std::span<const ToolSpec> tools, PromptWriter& out);

/// True when the prompt ends inside of thinking.
bool deepseek_opens_thinking(DeepSeekKind kind, std::span<const ChatMessage> messages, std::span<const ToolSpec> tools);

/// What of an earlier answer stays in a prompt.
std::string_view deepseek_history(DeepSeekKind kind, std::string_view content);

}  // namespace tidegate::worker
