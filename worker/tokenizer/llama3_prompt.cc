#include "worker/tokenizer/llama3_prompt.h"

#include <cstddef>

#include "worker/tokenizer/char_class.h"

namespace tidegate::worker {
namespace {

/// What the template writes where nobody tells it the day. That of 3.2 would ask a clock first: prompts would change
/// every midnight, and no cached prefix would outlive it.
constexpr std::string_view kDates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

/// Python counts four separators among the controls as blanks, which White_Space does not.
bool is_blank(const Char& one) {
  return one.char_class == CharClass::kSpace || (one.code_point >= 0x1C && one.code_point <= 0x1F);
}

class Llama3Prompt {
 public:
  Llama3Prompt(const Llama3Tokens& tokens, PromptWriter& out) : tokens_(tokens), out_(out) {}

  void write(Llama3Kind kind, std::span<const ChatMessage> messages) {
    const ChatMessage* opening = opening_of(messages);
    out_.control(tokens_.bos);
    if (kind == Llama3Kind::k31) {
      const bool has_system = !messages.empty() && messages.front().role == Role::kSystem;
      begin("system");
      out_.text(kDates);
      if (has_system) {
        out_.text(llama3_text(messages.front().content));
        messages = messages.subspan(1);
      }
      out_.control(tokens_.turn_end);
    }
    for (const ChatMessage& message : messages) {
      if (&message == opening) break;
      switch (message.role) {
        case Role::kSystem: write_turn("system", message); break;
        case Role::kUser: write_turn("user", message); break;
        case Role::kAssistant: write_turn("assistant", message); break;
        case Role::kTool: break;
      }
    }
    begin("assistant");
    if (opening != nullptr) out_.text(opening->content);
  }

 private:
  void begin(std::string_view role) {
    out_.control(tokens_.header_begin);
    out_.text(role);
    out_.control(tokens_.header_end);
    out_.text("\n\n");
  }
  void write_turn(std::string_view role, const ChatMessage& message) {
    begin(role);
    out_.text(llama3_text(message.content));
    out_.control(tokens_.turn_end);
  }

  const Llama3Tokens& tokens_;
  PromptWriter& out_;
};

}  // namespace

void write_llama3_prompt(Llama3Kind kind, const Llama3Tokens& tokens, std::span<const ChatMessage> messages,
                         PromptWriter& out) {
  Llama3Prompt(tokens, out).write(kind, messages);
}

std::string_view llama3_text(std::string_view content) {
  while (!content.empty()) {
    const Char first = char_at(content, 0);
    if (!is_blank(first)) break;
    content.remove_prefix(first.bytes);
  }
  while (!content.empty()) {
    std::size_t at = content.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(content[at]) & 0xC0U) == 0x80U) --at;
    const Char last = char_at(content, at);
    if (!is_blank(last) || at + last.bytes != content.size()) break;
    content.remove_suffix(last.bytes);
  }
  return content;
}

}  // namespace tidegate::worker
