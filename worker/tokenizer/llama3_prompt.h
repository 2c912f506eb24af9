#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/prompt_writer.h"

/// The chat templates of Llama 3, without tools. chat_template.h shows the forms.
namespace tidegate::worker {

enum class Llama3Kind : std::uint8_t {
  k30,
  k31,  ///< and 3.2, 3.3: a system turn with two dates always
};

struct Llama3Tokens {
  TokenId bos = -1;
  TokenId text_end = -1;  ///< ends an answer too
  TokenId header_begin = -1;
  TokenId header_end = -1;
  TokenId turn_end = -1;
};

/// Messages of tools are left out.
void write_llama3_prompt(Llama3Kind kind, const Llama3Tokens& tokens, std::span<const ChatMessage> messages,
                         PromptWriter& out);

/// What of a whole message stands in a prompt: blanks are taken off both ends, those that Python's strip() takes.
std::string_view llama3_text(std::string_view content);

}  // namespace tidegate::worker
