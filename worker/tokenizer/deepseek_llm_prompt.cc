#include "worker/tokenizer/deepseek_llm_prompt.h"

namespace tidegate::worker {

void write_deepseek_llm_prompt(TokenId bos, TokenId eos, std::span<const ChatMessage> messages, PromptWriter& out) {
  out.control(bos);
  const ChatMessage* opening = opening_of(messages);
  for (const ChatMessage& message : messages) {
    if (&message == opening) break;
    switch (message.role) {
      case Role::kSystem:
        out.text(message.content);
        out.text("\n\n");
        break;
      case Role::kUser:
        out.text("User: ");
        out.text(message.content);
        out.text("\n\n");
        break;
      case Role::kAssistant:
        out.text("Assistant: ");
        out.text(message.content);
        out.control(eos);
        break;
      case Role::kTool: break;
    }
  }
  // No blank behind it: the first token of the answer brings its own.
  out.text("Assistant:");
  if (opening == nullptr || opening->content.empty()) return;
  out.text(" ");
  out.text(opening->content);
}

}  // namespace tidegate::worker
