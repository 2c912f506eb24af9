#pragma once

#include <span>

#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/prompt_writer.h"

/// The chat template of DeepSeek LLM, DeepSeekMoE, V2 and V2-Lite. chat_template.h shows the form.
namespace tidegate::worker {

/// `bos` and `eos` are its only control tokens. Messages of tools have no place in it and are left out.
void write_deepseek_llm_prompt(TokenId bos, TokenId eos, std::span<const ChatMessage> messages, PromptWriter& out);

}  // namespace tidegate::worker
