#include "gateway/http/chat_answer.h"

#include <algorithm>

#include "base/core/json_text.h"
#include "gateway/http/keep_alive.h"
#include "gateway/http/logprob_answer.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kChatIdPrefix = "chatcmpl-";
constexpr std::string_view kReasoningKey = R"("reasoning_content":)";
constexpr std::string_view kContentKey = R"("content":)";

}  // namespace

void ChatDialect::begin_chunk(std::string& out, std::int32_t choice) const {
  out += prefix_;
  out += std::to_string(choice);
  out += R"(,"delta":{)";
}

void ChatDialect::open(std::string& out, const AnswerHead& head, std::int32_t choice) {
  const bool is_first = !frame_.is_open();
  if (is_first) {
    frame_.open(head, kChatIdPrefix, "chat.completion.chunk");
    prefix_ = frame_.start() + R"(,"choices":[{"index":)";
    suffix_ = R"(},"logprobs":null,"finish_reason":null}])";
    suffix_ += frame_.close();
  }
  const auto place = static_cast<std::size_t>(choice);
  if (opened_[place]) return;
  opened_.set(place);
  out += frame_.start();
  if (is_first) out += frame_.variant();
  out += R"(,"choices":[{"index":)";
  out += std::to_string(choice);
  out += R"(,"delta":{"role":"assistant","content":"")";
  out += suffix_;
}

void ChatDialect::append_delta(std::string& out, std::int32_t choice, std::string_view key, std::string_view text,
                               std::span<const TokenLogprob> logprobs) const {
  begin_chunk(out, choice);
  out += key;
  append_json_text(out, text);
  if (logprobs.empty()) {
    out += suffix_;
    return;
  }
  out += R"(},"logprobs":)";
  append_chat_logprobs(out, logprobs);
  out += R"(,"finish_reason":null}])";
  out += frame_.close();
}

void ChatDialect::append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                              std::string_view content) {
  open(out, head, 0);
  if (!reasoning.empty()) append_delta(out, 0, kReasoningKey, reasoning, {});
  if (!content.empty()) append_delta(out, 0, kContentKey, content, {});
}

void ChatDialect::append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) {
  open(out, head, part.choice);
  // Tokens of the thinking go with it, unless the part has none of its text.
  const std::span<const TokenLogprob> all(part.logprobs);
  const auto said = std::ranges::find(all, false, &TokenLogprob::in_reasoning);
  const std::size_t thought = part.reasoning.empty() ? 0 : static_cast<std::size_t>(said - all.begin());
  const auto rest = all.subspan(thought);
  if (!part.reasoning.empty()) append_delta(out, part.choice, kReasoningKey, part.reasoning, all.first(thought));
  // Of calls, and of text that a stop string swallowed: tokens without a text that is shown.
  if (!part.content.empty() || !rest.empty()) append_delta(out, part.choice, kContentKey, part.content, rest);
  append_choice_calls(out, part.choice, part.tool_calls);
  if (!part.finish_reason.empty()) append_finish(out, part.choice, part.finish_reason);
}

void ChatDialect::append_finish(std::string& out, std::int32_t choice, std::string_view finish_reason) const {
  begin_chunk(out, choice);
  out += R"(},"logprobs":null,"finish_reason":)";
  append_reason(out, finish_reason);
  out += "}]";
  out += frame_.close();
}

void ChatDialect::append_call_begin(std::string& out, std::int32_t choice, const ToolCallDelta& call) const {
  begin_chunk(out, choice);
  if (form_ == CallForm::kFunctionCall) {
    out += R"("function_call":{"name":)";
    append_json_text(out, call.name);
    out += R"(,"arguments":""})";
  } else {
    out += R"("tool_calls":[{"index":)";
    out += std::to_string(call.index);
    out += R"(,"id":)";
    append_json_text(out, call.id);
    out += R"(,"type":"function","function":{"name":)";
    append_json_text(out, call.name);
    out += R"(,"arguments":""}}])";
  }
  out += suffix_;
}

void ChatDialect::append_arguments(std::string& out, std::int32_t choice, const ToolCallDelta& call) const {
  begin_chunk(out, choice);
  if (form_ == CallForm::kFunctionCall) {
    out += R"("function_call":{"arguments":)";
    append_json_text(out, call.arguments);
    out += '}';
  } else {
    out += R"("tool_calls":[{"index":)";
    out += std::to_string(call.index);
    out += R"(,"function":{"arguments":)";
    append_json_text(out, call.arguments);
    out += "}}]";
  }
  out += suffix_;
}

void ChatDialect::append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) {
  if (calls.empty()) return;
  open(out, head, 0);
  append_choice_calls(out, 0, calls);
}

void ChatDialect::append_choice_calls(std::string& out, std::int32_t choice,
                                      std::span<const ToolCallDelta> calls) const {
  for (const ToolCallDelta& call : calls) {
    // The old form has room for one; the plan asks the worker for no more.
    if (form_ == CallForm::kFunctionCall && call.index > 0) continue;
    if (call.is_first()) append_call_begin(out, choice, call);
    if (!call.arguments.empty()) append_arguments(out, choice, call);
  }
}

void ChatDialect::append_keep_alive(std::string& out, const AnswerHead& head) { append_keep_alive_comment(out, head); }

void ChatDialect::append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) {
  for (const AnswerPart& other : end.others) append_part(out, head, other);
  append_finish(out, end.choice, end.finish_reason);
  frame_.append_end(out, end);
}

void ChatDialect::append_cut(std::string& out, const AnswerHead&, const ApiError& error) {
  append_openai_cut(out, error);
}

void ChatDialect::append_reason(std::string& out, std::string_view finish_reason) const {
  const bool is_old_call = form_ == CallForm::kFunctionCall && finish_reason == "tool_calls";
  append_json_text(out, is_old_call ? std::string_view("function_call") : finish_reason);
}

void ChatDialect::append_whole_calls(std::string& out, const ToolCallDeltas& calls) const {
  if (calls.empty()) return;
  if (form_ == CallForm::kFunctionCall) {
    out += R"(,"function_call":{"name":)";
    append_json_text(out, calls.front().name);
    out += R"(,"arguments":)";
    append_json_text(out, calls.front().arguments);
    out += '}';
    return;
  }
  out += R"(,"tool_calls":[)";
  for (const ToolCallDelta& call : calls) {
    if (call.index > 0) out += ',';
    out += R"({"id":)";
    append_json_text(out, call.id);
    out += R"(,"type":"function","function":{"name":)";
    append_json_text(out, call.name);
    out += R"(,"arguments":)";
    append_json_text(out, call.arguments);
    out += "}}";
  }
  out += ']';
}

void ChatDialect::append_whole(std::string& out, std::string_view reasoning, std::string_view content,
                               const AnswerPart& rest) const {
  out += R"({"index":)";
  out += std::to_string(rest.choice);
  out += R"(,"message":{"role":"assistant","content":)";
  if (content.empty() && !rest.tool_calls.empty()) {
    out += "null";
  } else {
    append_json_text(out, content);
  }
  if (!reasoning.empty()) {
    out += R"(,"reasoning_content":)";
    append_json_text(out, reasoning);
  }
  append_whole_calls(out, rest.tool_calls);
  out += R"(,"refusal":null},"logprobs":)";
  append_chat_logprobs(out, rest.logprobs);
  out += R"(,"finish_reason":)";
  append_reason(out, rest.finish_reason);
  out += '}';
}

std::string ChatDialect::body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                              const AnswerEnd& end) {
  std::string out;
  out.reserve(1'024 + reasoning.size() + content.size());
  out += '{';
  append_openai_identity(out, head, kChatIdPrefix, "chat.completion");
  out += R"(,"variant":)";
  append_json_text(out, head.variant);
  out += R"(,"choices":[)";
  AnswerPart first;
  first.tool_calls = end.tool_calls;
  first.logprobs = end.logprobs;
  first.finish_reason = end.finish_reason;
  append_whole(out, reasoning, content, first);
  for (const AnswerPart& other : end.others) {
    out += ',';
    append_whole(out, other.reasoning, other.content, other);
  }
  out += "],";
  append_openai_bill(out, end);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
