#pragma once

#include <span>
#include <string_view>

#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/prompt_writer.h"
#include "worker/tokenizer/tool_spec.h"

/// The chat template of Qwen2.5, whose tools are in the style of Hermes. chat_template.h shows the form.
namespace tidegate::worker {

/// Ids of the template's tokens; -1 for those that a vocabulary may lack.
struct QwenTokens {
  TokenId turn_begin = -1;
  TokenId turn_end = -1;
  TokenId call_begin = -1;
  TokenId call_end = -1;

  bool can_call() const { return call_begin >= 0 && call_end >= 0; }
};

/// `system`: what stands for a system message when the conversation does not begin with one.
void write_qwen_prompt(const QwenTokens& tokens, std::string_view system, std::span<const ChatMessage> messages,
                       std::span<const ToolSpec> tools, PromptWriter& out);

}  // namespace tidegate::worker
