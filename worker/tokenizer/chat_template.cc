#include "worker/tokenizer/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
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

bool has_all(std::string_view text, std::initializer_list<std::string_view> marks) {
  return std::ranges::all_of(marks, [text](std::string_view mark) { return has(text, mark); });
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> marks) {
  return std::ranges::any_of(marks, [text](std::string_view mark) { return has(text, mark); });
}

/// Jinja reads a line break in a literal and its escape alike, and published files have either.
std::string with_line_breaks(std::string_view jinja) {
  std::string out;
  for (std::size_t i = 0; i < jinja.size(); ++i) {
    const bool is_escape = jinja.substr(i, 2) == "\\n";
    out.push_back(is_escape ? '\n' : jinja[i]);
    if (is_escape) ++i;
  }
  return out;
}

/// These two families have few words of their own, so that their pieces are asked for whole.
std::optional<ChatFamily> family_without_tools(std::string_view jinja) {
  const std::string text = with_line_breaks(jinja);
  if (has_any(text, {"<｜", "think"})) return std::nullopt;
  if (!has(text, "<|start_header_id|>")) {
    const bool is_llm = has_all(
        text, {"{{ bos_token }}{% for message in messages %}", "{{ message['content'] + '\n\n' }}",
               "{{ 'User: ' + message['content'] + '\n\n' }}",
               "{{ 'Assistant: ' + message['content'] + eos_token }}", "{{ 'Assistant:' }}"});
    if (is_llm && !has_any(text, {"tool", "trim"})) return ChatFamily::kDeepSeekLlm;
    return std::nullopt;
  }
  std::string dense = text;
  std::erase(dense, ' ');
  const bool has_turns = has_all(
      dense, {"'<|start_header_id|>'+message['role']+'<|end_header_id|>\n\n'+message['content']|trim+'<|eot_id|>'",
              "'<|start_header_id|>assistant<|end_header_id|>\n\n'"});
  if (!has_turns) return std::nullopt;
  const bool has_dates =
      has_all(text, {R"("Cutting Knowledge Date: December 2023)", R"("Today Date: " + date_string + ")",
                     R"(date_string = "26 Jul 2024")"}) &&
      has_all(dense, {"{{-bos_token}}", "setsystem_message=messages[0]['content']|trim", "{{-system_message}}",
                      "\"<|start_header_id|>system<|end_header_id|>\n\n\""});
  // Others leave the system's turn away where nobody wrote one.
  if (has_dates && !has(dense, "ifsystem_message%}")) return ChatFamily::kLlama31;
  const bool has_turns_alone = has(dense, "ifloop.index0==0%}{%setcontent=bos_token+content");
  if (has_turns_alone && !has_any(text, {"system", "tool", "Date"})) return ChatFamily::kLlama3;
  return std::nullopt;
}

}  // namespace

std::string_view name_of(ChatFamily family) {
  switch (family) {
    case ChatFamily::kDeepSeekR1: return "DeepSeek-R1";
    case ChatFamily::kDeepSeekV3: return "DeepSeek-V3";
    case ChatFamily::kDeepSeekV31: return "DeepSeek-V3.1";
    case ChatFamily::kQwen25: return "Qwen2.5";
    case ChatFamily::kDeepSeekLlm: return "DeepSeek LLM";
    case ChatFamily::kLlama3: return "Llama 3";
    case ChatFamily::kLlama31: return "Llama 3.1";
  }
  return "?";
}

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
  return family_without_tools(jinja);
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
    return unsupported_template(
        "the chat template is of no known family: DeepSeek-R1, DeepSeek-V3, DeepSeek-V3.1, Qwen2.5, DeepSeek LLM, "
        "Llama 3, Llama 3.1");
  }
  TG_ASSIGN(ChatTemplate chat, build(*family, tokenizer));
  if (has(text, kQwenSystem)) chat.system_ = kQwenSystem;
  return chat;
}

Result<ChatTemplate> ChatTemplate::build(ChatFamily family, const Tokenizer& tokenizer) {
  ChatTemplate chat(tokenizer, family);
  switch (family) {
    case ChatFamily::kDeepSeekR1:
    case ChatFamily::kDeepSeekV3:
    case ChatFamily::kDeepSeekV31: TG_TRY(chat.find_deepseek_tokens()); break;
    case ChatFamily::kQwen25: TG_TRY(chat.find_qwen_tokens()); break;
    case ChatFamily::kDeepSeekLlm: TG_TRY(chat.find_deepseek_llm_tokens()); break;
    case ChatFamily::kLlama3:
    case ChatFamily::kLlama31: TG_TRY(chat.find_llama3_tokens()); break;
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

/// Tokens for calls, which later vocabularies have, stay unknown: the template says nothing of them.
Status ChatTemplate::find_deepseek_llm_tokens() {
  const Control always[] = {{"<｜begin▁of▁sentence｜>", &deepseek_.bos}, {"<｜end▁of▁sentence｜>", &deepseek_.eos}};
  return find_all(*tokenizer_, always);
}

Status ChatTemplate::find_llama3_tokens() {
  const Control always[] = {{"<|begin_of_text|>", &llama3_.bos},
                            {"<|end_of_text|>", &llama3_.text_end},
                            {"<|start_header_id|>", &llama3_.header_begin},
                            {"<|end_header_id|>", &llama3_.header_end},
                            {"<|eot_id|>", &llama3_.turn_end}};
  return find_all(*tokenizer_, always);
}

std::optional<DeepSeekKind> ChatTemplate::deepseek_kind() const {
  switch (family_) {
    case ChatFamily::kDeepSeekR1: return DeepSeekKind::kR1;
    case ChatFamily::kDeepSeekV3: return DeepSeekKind::kV3;
    case ChatFamily::kDeepSeekV31: return DeepSeekKind::kV31;
    case ChatFamily::kQwen25:
    case ChatFamily::kDeepSeekLlm:
    case ChatFamily::kLlama3:
    case ChatFamily::kLlama31: break;
  }
  return std::nullopt;
}

bool ChatTemplate::can_call() const {
  return family_ == ChatFamily::kQwen25 ? qwen_.can_call() : deepseek_.can_call();
}

std::string ChatTemplate::cannot_call_because() const {
  switch (family_) {
    case ChatFamily::kDeepSeekR1:
    case ChatFamily::kDeepSeekV3:
    case ChatFamily::kDeepSeekV31:
    case ChatFamily::kQwen25: return "its vocabulary has no tokens for calls";
    case ChatFamily::kDeepSeekLlm:
    case ChatFamily::kLlama3:
    case ChatFamily::kLlama31: break;
  }
  return fmt::format("calls are not supported with the chat template of {}", name_of(family_));
}

ToolSyntax ChatTemplate::tool_syntax() const {
  if (!can_call()) return ToolSyntax::kNone;
  switch (family_) {
    case ChatFamily::kDeepSeekR1:
    case ChatFamily::kDeepSeekV3: return ToolSyntax::kDeepSeekFenced;
    case ChatFamily::kDeepSeekV31: return ToolSyntax::kDeepSeekPlain;
    case ChatFamily::kQwen25: return ToolSyntax::kHermes;
    case ChatFamily::kDeepSeekLlm:
    case ChatFamily::kLlama3:
    case ChatFamily::kLlama31: break;
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
  switch (family_) {
    case ChatFamily::kDeepSeekR1: write_deepseek_prompt(DeepSeekKind::kR1, deepseek_, messages, tools, out); break;
    case ChatFamily::kDeepSeekV3: write_deepseek_prompt(DeepSeekKind::kV3, deepseek_, messages, tools, out); break;
    case ChatFamily::kDeepSeekV31: write_deepseek_prompt(DeepSeekKind::kV31, deepseek_, messages, tools, out); break;
    case ChatFamily::kQwen25: write_qwen_prompt(qwen_, system_, messages, tools, out); break;
    case ChatFamily::kDeepSeekLlm: write_deepseek_llm_prompt(deepseek_.bos, deepseek_.eos, messages, out); break;
    case ChatFamily::kLlama3: write_llama3_prompt(Llama3Kind::k30, llama3_, messages, out); break;
    case ChatFamily::kLlama31: write_llama3_prompt(Llama3Kind::k31, llama3_, messages, out); break;
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
  const auto kind = deepseek_kind();
  return kind && deepseek_opens_thinking(*kind, messages, tools);
}

TokenId ChatTemplate::bos() const {
  switch (family_) {
    case ChatFamily::kDeepSeekR1:
    case ChatFamily::kDeepSeekV3:
    case ChatFamily::kDeepSeekV31:
    case ChatFamily::kDeepSeekLlm: break;
    case ChatFamily::kQwen25: return raw_begin_;
    case ChatFamily::kLlama3:
    case ChatFamily::kLlama31: return llama3_.bos;
  }
  return deepseek_.bos;
}

std::vector<TokenId> ChatTemplate::end_tokens() const {
  switch (family_) {
    case ChatFamily::kDeepSeekR1:
    case ChatFamily::kDeepSeekV3:
    case ChatFamily::kDeepSeekV31:
    case ChatFamily::kDeepSeekLlm: break;
    case ChatFamily::kQwen25: return {qwen_.turn_end};
    case ChatFamily::kLlama3:
    case ChatFamily::kLlama31: return {llama3_.turn_end, llama3_.text_end};
  }
  return {deepseek_.eos};
}

std::size_t ChatTemplate::text_bytes(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) const {
  std::size_t bytes = 0;
  for (const ToolSpec& tool : tools) bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
  const auto kind = deepseek_kind();
  const bool thinks = kind && deepseek_.think_end >= 0;
  const bool is_trimmed = family_ == ChatFamily::kLlama3 || family_ == ChatFamily::kLlama31;
  const ChatMessage* opening = opening_of(messages);
  for (const ChatMessage& message : messages) {
    if (&message == opening) {
      bytes += message.content.size() + (thinks ? message.reasoning.size() : 0);
      continue;
    }
    for (const ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
    const bool history = thinks && message.role == Role::kAssistant;
    if (history) {
      bytes += deepseek_history(*kind, message.content).size();
    } else {
      bytes += is_trimmed ? llama3_text(message.content).size() : message.content.size();
    }
  }
  return bytes;
}

}  // namespace tidegate::worker
