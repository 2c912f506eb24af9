#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {

/// The DeepSeek-R1 chat template, in C++ rather than as a Jinja interpreter: template text from a checkpoint
/// never runs.
///
///   BOS systems-joined-by-a-blank-line (<｜User｜>text | <｜Assistant｜>text EOS)* <｜Assistant｜><think>
///   "\n"
///
/// System texts come first wherever they stand. From an assistant's text everything up to its last "</think>"
/// is dropped. Output therefore begins inside the reasoning.
///
/// A last message that begins the answer is not closed: the prompt ends
///   <｜Assistant｜><think>"\n"reasoning                                 with its reasoning only
///   <｜Assistant｜><think>"\n"reasoning"\n"</think>"\n\n"content        with content, which output then continues, or
///                                                                    when it ends the thinking: output is content
///
/// Control tokens are placed by id; all text is encoded with AddedTokens::kRefuse, so that no message can
/// forge a turn. Immutable; thread-safe. The tokenizer must outlive it.
class ChatTemplate {
 public:
  /// Reads DIR/tokenizer_config.json. Fails: invalid_argument/chat_template_unsupported if the template there
  /// is of another family or the vocabulary lacks one of its control tokens.
  static Result<ChatTemplate> load(const std::string& dir, const Tokenizer& tokenizer);
  /// For a checkpoint known to use this template.
  static Result<ChatTemplate> deepseek_r1(const Tokenizer& tokenizer);

  /// Prompt ids, generation prompt included.
  std::vector<TokenId> encode(std::span<const ChatMessage> messages) const;
  /// The same as text, for people and for comparison with the checkpoint's own template.
  std::string render(std::span<const ChatMessage> messages) const;

  /// Bytes of message text that encode() turns into tokens: a cheap lower bound for refusing a prompt.
  std::size_t text_bytes(std::span<const ChatMessage> messages) const;

  TokenId bos() const { return bos_; }
  TokenId eos() const { return eos_; }
  TokenId think_end() const { return think_end_; }

 private:
  /// A control token, or text if id < 0.
  struct Piece {
    TokenId id = -1;
    std::string text;
  };
  explicit ChatTemplate(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  std::vector<Piece> pieces(std::span<const ChatMessage> messages) const;

  const Tokenizer* tokenizer_;
  TokenId bos_ = 0;
  TokenId eos_ = 0;
  TokenId user_ = 0;
  TokenId assistant_ = 0;
  TokenId think_ = 0;
  TokenId think_end_ = 0;
};

}  // namespace tidegate::worker
