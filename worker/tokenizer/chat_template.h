#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/deepseek_llm_prompt.h"
#include "worker/tokenizer/deepseek_prompt.h"
#include "worker/tokenizer/llama3_prompt.h"
#include "worker/tokenizer/prompt_writer.h"
#include "worker/tokenizer/qwen_prompt.h"
#include "worker/tokenizer/tokenizer.h"
#include "worker/tokenizer/tool_spec.h"

namespace tidegate::worker {

enum class ChatFamily : std::uint8_t {
  kDeepSeekR1,
  kDeepSeekV3,  ///< V2.5 too
  kDeepSeekV31,
  kQwen25,
  kDeepSeekLlm,  ///< LLM, MoE, V2, V2-Lite, Coder-V2
  kLlama3,
  kLlama31,  ///< 3.2 and 3.3 too
};

/// For people: "DeepSeek-R1".
std::string_view name_of(ChatFamily family);

/// The chat templates of the served families, in C++ rather than as a Jinja interpreter: template text from a checkpoint
/// never runs.
///
/// DeepSeek-R1:
///   BOS systems-joined-by-a-blank-line (<｜User｜>text | <｜Assistant｜>text EOS)* <｜Assistant｜><think>
///   "\n"
/// From an assistant's text everything up to its last "</think>" is dropped. Output therefore begins inside the reasoning.
/// A last message that begins the answer is not closed: the prompt ends
///   <｜Assistant｜><think>"\n"reasoning                                 with its reasoning only
///   <｜Assistant｜><think>"\n"reasoning"\n"</think>"\n\n"content        with content, which output then continues, or
///                                                                    when it ends the thinking: output is content
/// DeepSeek-V3: the same without thinking; text stays as it is.
/// Calls of both: <calls begin>(<call begin>function<sep>name"\n```json\n"arguments"\n```"<call end>, by "\n")<calls end>
/// EOS; outputs: <outputs begin>(<output begin>text<output end>, by "\n")<outputs end>, behind which the answer goes on
/// without <｜Assistant｜> and without thinking.
/// DeepSeek-V3.1: answers begin <｜Assistant｜></think>, or <｜Assistant｜><think> to think first, which it does unless there
/// are tools; calls: <calls begin>(<call begin>name<sep>arguments<call end>)*<calls end>; outputs have no outer marks.
/// Qwen2.5: <|im_start|>role"\n"text<|im_end|>"\n", with a system message always; calls and outputs in the style of Hermes.
///
/// DeepSeek LLM, without tools: BOS (system"\n\n" | User: text"\n\n" | Assistant: text EOS)* Assistant:
/// Roles are plain text there: nothing keeps a user from writing what looks like a turn. An answer begins with the
/// blank that the model writes behind the colon.
/// Llama 3, without tools: BOS (<|start_header_id|>role<|end_header_id|>"\n\n"text<|eot_id|>)*
/// <|start_header_id|>assistant<|end_header_id|>"\n\n", blanks taken off both ends of a text. Llama 3.1: the first turn
/// is the system's always and begins with two dates.
///
/// System texts come first wherever they stand (DeepSeek-R1, V3, V3.1). Tools are described behind the system text. Control
/// tokens are placed by id; all text is encoded with AddedTokens::kRefuse, so that no message, tool or result can forge
/// a turn where turns have tokens.
/// Immutable; thread-safe. The tokenizer must outlive it.
class ChatTemplate {
 public:
  /// Reads DIR/tokenizer_config.json. Fails: invalid_argument/chat_template_unsupported if the template there
  /// is of another family or the vocabulary lacks one of its control tokens.
  static Result<ChatTemplate> load(const std::string& dir, const Tokenizer& tokenizer);
  /// The same from the text of a tokenizer_config.json.
  static Result<ChatTemplate> of_config(std::string_view tokenizer_config, const Tokenizer& tokenizer);
  /// For a checkpoint known to use this template. Tokens of calls may be missing: see can_call().
  static Result<ChatTemplate> build(ChatFamily family, const Tokenizer& tokenizer);
  static Result<ChatTemplate> deepseek_r1(const Tokenizer& tokenizer) {
    return build(ChatFamily::kDeepSeekR1, tokenizer);
  }
  /// The family of a checkpoint's own template text; nullopt for others.
  static std::optional<ChatFamily> family_of(std::string_view jinja);

  ChatFamily family() const { return family_; }
  /// Whether the vocabulary has what tools, calls and results need; without it a prompt must have none of them.
  bool can_call() const;
  /// What a person is told when can_call() is false; the part of a sentence.
  std::string cannot_call_because() const;
  ToolSyntax tool_syntax() const;
  /// What a token of an answer means to a call; nullopt for all others.
  std::optional<ToolMark> mark_of(TokenId id) const;

  /// Prompt ids, generation prompt included.
  std::vector<TokenId> encode(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools = {}) const;
  /// The same as text, for people and for comparison with the checkpoint's own template.
  std::string render(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools = {}) const;
  /// True when the prompt ends inside of thinking.
  bool opens_thinking(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools = {}) const;

  /// Bytes of text that encode() turns into tokens: a cheap lower bound for refusing a prompt.
  std::size_t text_bytes(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools = {}) const;

  /// What a raw prompt begins with.
  TokenId bos() const;
  /// What ends an answer; one at least.
  std::vector<TokenId> end_tokens() const;
  /// -1 for families that do not think.
  TokenId think() const { return deepseek_.think; }
  TokenId think_end() const { return deepseek_.think_end; }

 private:
  static Result<ChatTemplate> of_document(const json::value& config, const Tokenizer& tokenizer);
  ChatTemplate(const Tokenizer& tokenizer, ChatFamily family) : tokenizer_(&tokenizer), family_(family) {}
  Status find_deepseek_tokens();
  Status find_qwen_tokens();
  Status find_deepseek_llm_tokens();
  Status find_llama3_tokens();
  /// nullopt for families with another form.
  std::optional<DeepSeekKind> deepseek_kind() const;
  std::vector<PromptPiece> pieces(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) const;

  const Tokenizer* tokenizer_;
  ChatFamily family_;
  DeepSeekTokens deepseek_;  ///< of the other families: all -1; DeepSeek LLM has BOS and EOS only
  QwenTokens qwen_;          ///< as above
  Llama3Tokens llama3_;      ///< as above
  TokenId raw_begin_ = -1;
  std::string system_;  ///< Qwen's own
};

}  // namespace tidegate::worker
