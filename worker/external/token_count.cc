#include "worker/external/token_count.h"

#include <utility>


namespace tidegate::worker::external {
namespace {

/// What a template may put around a message, a call made earlier, a tool, a prompt with tools, and a prompt (a system text of
/// its own among it). No more than gateways hold for them before they know.
constexpr std::int64_t kTokensPerMessage = 8;
constexpr std::int64_t kTokensPerEarlierCall = 32;
constexpr std::int64_t kTokensPerTool = 64;
constexpr std::int64_t kTokensOfTools = 512;
constexpr std::int64_t kTokensOfPrompt = 64;

/// Text that is not closed yet stays below these: at the first a blank ends it, at the second anything does.
constexpr std::size_t kOpenBytes = 256;
constexpr std::size_t kOpenBytesMax = 2048;

}  // namespace

Result<TokenCounter> TokenCounter::open(const std::string& folder, std::int64_t bytes_per_token_max) {
  TokenCounter counter(bytes_per_token_max);
  if (folder.empty()) return counter;
  TG_ASSIGN(Tokenizer loaded, Tokenizer::load(folder));
  counter.tokenizer_ = std::make_unique<const Tokenizer>(std::move(loaded));
  auto chat = ChatTemplate::load(folder, *counter.tokenizer_);
  if (chat) counter.template_ = *std::move(chat);
  return counter;
}

TokenRange TokenCounter::text(std::string_view text) const {
  if (tokenizer_ != nullptr) {
    const auto tokens = static_cast<std::int64_t>(tokenizer_->encode(text, AddedTokens::kRefuse).size());
    return {tokens, tokens};
  }
  const auto bytes = static_cast<std::int64_t>(text.size());
  return {(bytes + bytes_per_token_max_ - 1) / bytes_per_token_max_, bytes};
}

TokenRange TokenCounter::prompt(const GenerateRequest& request) const {
  if (request.raw) {
    TokenRange range = text(request.raw->text);
    if (request.raw->suffix) range = range + text(*request.raw->suffix);
    range.most += kTokensPerMessage;  // marks of a text with a gap, the begin of a prompt
    return range;
  }
  const auto tools = request.offer.open();
  bool needs_calls = !tools.empty();
  for (const ChatMessage& message : request.messages) {
    needs_calls = needs_calls || message.role == Role::kTool || !message.tool_calls.empty();
  }
  if (template_ && (!needs_calls || template_->can_call())) {
    const auto tokens = static_cast<std::int64_t>(template_->encode(request.messages, tools).size());
    return {tokens, tokens};
  }
  TokenRange range{0, kTokensOfPrompt};
  for (const ChatMessage& message : request.messages) {
    range = range + text(message.content);
    if (message.begins_answer) range = range + text(message.reasoning);
    for (const ToolCall& call : message.tool_calls) range = range + text(call.name) + text(call.arguments);
    range.most += kTokensPerMessage + kTokensPerEarlierCall * static_cast<std::int64_t>(message.tool_calls.size());
  }
  for (const ToolSpec& tool : tools) {
    range = range + text(tool.name) + text(tool.description) + text(tool.parameters);
    range.most += kTokensPerTool;
  }
  if (needs_calls) range.most += kTokensOfTools;
  return range;
}

void RunningCount::add(std::string_view text) {
  if (text.empty()) return;
  open_ += text;
  std::size_t closed = 0;
  if (open_.size() >= kOpenBytes) {
    const std::size_t blank = open_.find_last_of(" \n");
    if (blank != std::string::npos) closed = blank;  // a blank belongs to the word behind it
    if (closed == 0 && open_.size() >= kOpenBytesMax) closed = open_.size();
  }
  if (closed > 0) {
    closed_ = closed_ + counter_->text(std::string_view(open_).substr(0, closed));
    open_.erase(0, closed);
  }
  open_range_ = counter_->text(open_);
}

}  // namespace tidegate::worker::external
