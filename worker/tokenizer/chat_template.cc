#include "worker/tokenizer/chat_template.h"

#include <fmt/format.h>

#include <utility>

#include "base/json/json.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
constexpr std::string_view kUser = "<｜User｜>";
constexpr std::string_view kAssistant = "<｜Assistant｜>";
constexpr std::string_view kThink = "<think>";
constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kBlankLine = "\n\n";

std::unexpected<Error> unsupported(std::string message) {
  return fail(Code::kInvalidArgument, "chat_template_unsupported", std::move(message), "chat_template");
}

std::string_view after_thinking(std::string_view text) {
  const std::size_t at = text.rfind(kThinkEnd);
  return at == std::string_view::npos ? text : text.substr(at + kThinkEnd.size());
}

}  // namespace

Result<ChatTemplate> ChatTemplate::load(const std::string& dir, const Tokenizer& tokenizer) {
  TG_ASSIGN(const json::value config, json::parse_file(dir + "/tokenizer_config.json"));
  if (!config.is_object()) return unsupported("tokenizer_config.json is not an object");
  TG_ASSIGN(const std::string text, json::get_string(config.get_object(), "chat_template"));
  // What sets the R1 family apart from V3 and V3.1: the prompt ends inside <think>, and history loses its
  // thinking.
  for (const std::string_view mark : {"<｜Assistant｜><think>\\n", "split('</think>')[-1]"}) {
    if (text.find(mark) == std::string::npos) {
      return unsupported(
          fmt::format("the chat template lacks \"{}\"; only the DeepSeek-R1 template is supported", mark));
    }
  }
  return deepseek_r1(tokenizer);
}

Result<ChatTemplate> ChatTemplate::deepseek_r1(const Tokenizer& tokenizer) {
  ChatTemplate chat(tokenizer);
  const std::pair<std::string_view, TokenId*> controls[] = {
      {kBos, &chat.bos_},     {kEos, &chat.eos_},
      {kUser, &chat.user_},   {kAssistant, &chat.assistant_},
      {kThink, &chat.think_}, {kThinkEnd, &chat.think_end_}};
  for (const auto& [text, id] : controls) {
    const auto found = tokenizer.control_id(text);
    if (!found) return unsupported(fmt::format("the vocabulary has no added token \"{}\"", text));
    *id = *found;
  }
  return chat;
}

std::vector<ChatTemplate::Piece> ChatTemplate::pieces(std::span<const ChatMessage> messages) const {
  std::vector<Piece> out;
  out.push_back({bos_, {}});
  std::string system;
  bool first = true;
  for (const ChatMessage& message : messages) {
    if (message.role != Role::kSystem) continue;
    if (!std::exchange(first, false)) system += kBlankLine;
    system += message.content;
  }
  out.push_back({-1, std::move(system)});
  const ChatMessage* opening = opening_of(messages);
  for (const ChatMessage& message : messages) {
    if (&message == opening) break;
    switch (message.role) {
      case Role::kSystem:
        break;
      case Role::kUser:
        out.push_back({user_, {}});
        out.push_back({-1, message.content});
        break;
      case Role::kAssistant:
        out.push_back({assistant_, {}});
        out.push_back({-1, std::string(after_thinking(message.content))});
        out.push_back({eos_, {}});
        break;
    }
  }
  out.push_back({assistant_, {}});
  out.push_back({think_, {}});
  if (opening == nullptr) {
    out.push_back({-1, "\n"});
    return out;
  }
  std::string thinking = "\n" + opening->reasoning;
  if (opening->content.empty() && !opening->ends_thinking) {
    out.push_back({-1, std::move(thinking)});
    return out;
  }
  // As the model itself would have written it: line breaks around </think> belong to the tag.
  out.push_back({-1, std::move(thinking) + "\n"});
  out.push_back({think_end_, {}});
  out.push_back({-1, std::string(kBlankLine) + opening->content});
  return out;
}

std::vector<TokenId> ChatTemplate::encode(std::span<const ChatMessage> messages) const {
  std::vector<TokenId> ids;
  for (const Piece& piece : pieces(messages)) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    const auto text_ids = tokenizer_->encode(piece.text, AddedTokens::kRefuse);
    ids.insert(ids.end(), text_ids.begin(), text_ids.end());
  }
  return ids;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages) const {
  std::string text;
  for (const Piece& piece : pieces(messages)) {
    text += piece.id >= 0 ? std::string(tokenizer_->token_bytes(piece.id)) : piece.text;
  }
  return text;
}

std::size_t ChatTemplate::text_bytes(std::span<const ChatMessage> messages) const {
  std::size_t bytes = 0;
  const ChatMessage* opening = opening_of(messages);
  for (const ChatMessage& message : messages) {
    if (&message == opening) {
      bytes += message.content.size() + message.reasoning.size();
      continue;
    }
    const bool history = message.role == Role::kAssistant;
    bytes += history ? after_thinking(message.content).size() : message.content.size();
  }
  return bytes;
}

}  // namespace tidegate::worker
