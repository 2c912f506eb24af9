#include "worker/tokenizer/chat_template.h"

#include <fmt/format.h>

#include <utility>

namespace tidegate::worker {
namespace {

/// The instructed model's own system text, and the base model's.
constexpr std::string_view kQwenSystem = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
constexpr std::string_view kPlainSystem = "You are a helpful assistant.";

std::unexpected<Error> unsupported_template(std::string message) {
  return fail(Code::kInvalidArgument, "chat_template_unsupported", std::move(message), "chat_template");
}

using Control = std::pair<std::string_view, TokenId*>;

Status find_all(const Tokenizer& tokenizer, std::span<const Control> controls) {
  for (const auto& [text, id] : controls) {
    const auto found = tokenizer.control_id(text);
    if (!found) return unsupported_template(fmt::format("the vocabulary has no added token \"{}\"", text));
    *id = *found;
  }
  return {};
}

void find_some(const Tokenizer& tokenizer, std::span<const Control> controls) {
  for (const auto& [text, id] : controls) *id = tokenizer.control_id(text).value_or(-1);
}

bool has(std::string_view text, std::string_view mark) { return text.find(mark) != std::string_view::npos; }

}  // namespace

std::optional<ChatFamily> ChatTemplate::family_of(std::string_view jinja) {
  if (has(jinja, "<|im_start|>")) {
    const bool is_hermes = has(jinja, "<tool_call>") && has(jinja, "<tool_response>") && has(jinja, "helpful assistant");
    if (is_hermes && !has(jinja, "think")) return ChatFamily::kQwen25;
    return std::nullopt;
  }
  // What sets the R1 family apart from V3 and V3.1: the prompt ends inside <think>, and history loses its
  // thinking.
  if (has(jinja, "<｜Assistant｜><think>\\n") && has(jinja, "split('</think>')[-1]")) return ChatFamily::kDeepSeekR1;
  const bool has_calls = has(jinja, "<｜tool▁calls▁begin｜>") && has(jinja, "<｜User｜>");
  if (has_calls && has(jinja, "<｜Assistant｜></think>") && has(jinja, "split('</think>', 1)[1]")) {
    return ChatFamily::kDeepSeekV31;
  }
  if (has_calls && has(jinja, "<｜tool▁outputs▁begin｜>") && !has(jinja, "think")) return ChatFamily::kDeepSeekV3;
  return std::nullopt;
}

Result<ChatTemplate> ChatTemplate::load(const std::string& dir, const Tokenizer& tokenizer) {
  TG_ASSIGN(const json::value config, json::parse_file(dir + "/tokenizer_config.json"));
  return of_document(config, tokenizer);
}

Result<ChatTemplate> ChatTemplate::of_config(std::string_view tokenizer_config, const Tokenizer& tokenizer) {
  TG_ASSIGN(const json::value config, json::parse(tokenizer_config));
  return of_document(config, tokenizer);
}

Result<ChatTemplate> ChatTemplate::of_document(const json::value& config, const Tokenizer& tokenizer) {
  if (!config.is_object()) return unsupported_template("tokenizer_config.json is not an object");
  TG_ASSIGN(const std::string text, json::get_string(config.get_object(), "chat_template"));
  const auto family = family_of(text);
  if (!family) {
    return unsupported_template("the chat template is of no known family: DeepSeek-R1, DeepSeek-V3, DeepSeek-V3.1, Qwen2.5");
  }
  TG_ASSIGN(ChatTemplate chat, build(*family, tokenizer));
  if (has(text, kQwenSystem)) chat.system_ = kQwenSystem;
  return chat;
}

Result<ChatTemplate> ChatTemplate::build(ChatFamily family, const Tokenizer& tokenizer) {
  ChatTemplate chat(tokenizer, family);
  if (family == ChatFamily::kQwen25) {
    TG_TRY(chat.find_qwen_tokens());
  } else {
    TG_TRY(chat.find_deepseek_tokens());
  }
  return chat;
}

Status ChatTemplate::find_deepseek_tokens() {
  DeepSeekTokens& to = deepseek_;
  const Control always[] = {{"<｜begin▁of▁sentence｜>", &to.bos},
                            {"<｜end▁of▁sentence｜>", &to.eos},
                            {"<｜User｜>", &to.user},
                            {"<｜Assistant｜>", &to.assistant}};
  TG_TRY(find_all(*tokenizer_, always));
  if (family_ != ChatFamily::kDeepSeekV3) {
    const Control thinking[] = {{"<think>", &to.think}, {"</think>", &to.think_end}};
    TG_TRY(find_all(*tokenizer_, thinking));
  }
  const Control calls[] = {{"<｜tool▁calls▁begin｜>", &to.calls_begin},     {"<｜tool▁calls▁end｜>", &to.calls_end},
                           {"<｜tool▁call▁begin｜>", &to.call_begin},       {"<｜tool▁call▁end｜>", &to.call_end},
                           {"<｜tool▁sep｜>", &to.separator},               {"<｜tool▁outputs▁begin｜>", &to.outputs_begin},
                           {"<｜tool▁outputs▁end｜>", &to.outputs_end},     {"<｜tool▁output▁begin｜>", &to.output_begin},
                           {"<｜tool▁output▁end｜>", &to.output_end}};
  find_some(*tokenizer_, calls);
  return {};
}

Status ChatTemplate::find_qwen_tokens() {
  const Control always[] = {{"<|im_start|>", &qwen_.turn_begin},
                            {"<|im_end|>", &qwen_.turn_end},
                            {"<|endoftext|>", &raw_begin_}};
  TG_TRY(find_all(*tokenizer_, always));
  const Control calls[] = {{"<tool_call>", &qwen_.call_begin}, {"</tool_call>", &qwen_.call_end}};
  find_some(*tokenizer_, calls);
  system_ = kPlainSystem;
  return {};
}

DeepSeekKind ChatTemplate::deepseek_kind() const {
  switch (family_) {
    case ChatFamily::kDeepSeekR1: return DeepSeekKind::kR1;
    case ChatFamily::kDeepSeekV3: return DeepSeekKind::kV3;
    case ChatFamily::kDeepSeekV31: return DeepSeekKind::kV31;
    case ChatFamily::kQwen25: break;
  }
  return DeepSeekKind::kV3;
}

bool ChatTemplate::can_call() const {
  return family_ == ChatFamily::kQwen25 ? qwen_.can_call() : deepseek_.can_call();
}

ToolSyntax ChatTemplate::tool_syntax() const {
  if (!can_call()) return ToolSyntax::kNone;
  switch (family_) {
    case ChatFamily::kDeepSeekR1:
    case ChatFamily::kDeepSeekV3: return ToolSyntax::kDeepSeekFenced;
    case ChatFamily::kDeepSeekV31: return ToolSyntax::kDeepSeekPlain;
    case ChatFamily::kQwen25: return ToolSyntax::kHermes;
  }
  return ToolSyntax::kNone;
}

std::optional<ToolMark> ChatTemplate::mark_of(TokenId id) const {
  const std::pair<TokenId, ToolMark> marks[] = {
      {deepseek_.calls_begin, ToolMark::kCallsBegin}, {deepseek_.calls_end, ToolMark::kCallsEnd},
      {deepseek_.call_begin, ToolMark::kCallBegin},   {deepseek_.call_end, ToolMark::kCallEnd},
      {deepseek_.separator, ToolMark::kSeparator},    {qwen_.call_begin, ToolMark::kCallBegin},
      {qwen_.call_end, ToolMark::kCallEnd}};
  if (id < 0) return std::nullopt;
  for (const auto& [token, mark] : marks) {
    if (token == id) return mark;
  }
  return std::nullopt;
}

std::vector<PromptPiece> ChatTemplate::pieces(std::span<const ChatMessage> messages,
                                              std::span<const ToolSpec> tools) const {
  PromptWriter out;
  if (family_ == ChatFamily::kQwen25) {
    write_qwen_prompt(qwen_, system_, messages, tools, out);
  } else {
    write_deepseek_prompt(deepseek_kind(), deepseek_, messages, tools, out);
  }
  return out.take();
}

std::vector<TokenId> ChatTemplate::encode(std::span<const ChatMessage> messages,
                                          std::span<const ToolSpec> tools) const {
  std::vector<TokenId> ids;
  for (const PromptPiece& piece : pieces(messages, tools)) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    const auto text_ids = tokenizer_->encode(piece.text, AddedTokens::kRefuse);
    ids.insert(ids.end(), text_ids.begin(), text_ids.end());
  }
  return ids;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) const {
  std::string text;
  for (const PromptPiece& piece : pieces(messages, tools)) {
    text += piece.id >= 0 ? std::string(tokenizer_->token_bytes(piece.id)) : piece.text;
  }
  return text;
}

bool ChatTemplate::opens_thinking(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) const {
  return family_ != ChatFamily::kQwen25 && deepseek_opens_thinking(deepseek_kind(), messages, tools);
}

std::size_t ChatTemplate::text_bytes(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) const {
  std::size_t bytes = 0;
  for (const ToolSpec& tool : tools) bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
  const bool thinks = deepseek_.think_end >= 0;
  const ChatMessage* opening = opening_of(messages);
  for (const ChatMessage& message : messages) {
    if (&message == opening) {
      bytes += message.content.size() + (thinks ? message.reasoning.size() : 0);
      continue;
    }
    for (const ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
    const bool history = thinks && message.role == Role::kAssistant;
    bytes += history ? deepseek_history(deepseek_kind(), message.content).size() : message.content.size();
  }
  return bytes;
}

}  // namespace tidegate::worker
