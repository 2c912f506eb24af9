#include "gateway/http/chat_answer.h"

#include "base/core/json_text.h"
#include "gateway/http/keep_alive.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kChatIdPrefix = "chatcmpl-";

}  // namespace

void ChatDialect::open(std::string& out, const AnswerHead& head) {
  if (frame_.is_open()) return;
  frame_.open(head, kChatIdPrefix, "chat.completion.chunk");
  prefix_ = frame_.start() + R"(,"choices":[{"index":0,"delta":{)";
  suffix_ = R"(},"logprobs":null,"finish_reason":null}])";
  suffix_ += frame_.close();
  out += frame_.start();
  out += frame_.variant();
  out += R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":"")";
  out += suffix_;
}

void ChatDialect::append_delta(std::string& out, std::string_view key, std::string_view text) const {
  out += prefix_;
  out += key;
  append_json_text(out, text);
  out += suffix_;
}

void ChatDialect::append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                              std::string_view content) {
  open(out, head);
  if (!reasoning.empty()) append_delta(out, R"("reasoning_content":)", reasoning);
  if (!content.empty()) append_delta(out, R"("content":)", content);
}

void ChatDialect::append_call_begin(std::string& out, const ToolCallDelta& call) const {
  out += prefix_;
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

void ChatDialect::append_arguments(std::string& out, const ToolCallDelta& call) const {
  out += prefix_;
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
  open(out, head);
  for (const ToolCallDelta& call : calls) {
    // The old form has room for one; the plan asks the worker for no more.
    if (form_ == CallForm::kFunctionCall && call.index > 0) continue;
    if (call.is_first()) append_call_begin(out, call);
    if (!call.arguments.empty()) append_arguments(out, call);
  }
}

void ChatDialect::append_keep_alive(std::string& out, const AnswerHead& head) { append_keep_alive_comment(out, head); }

void ChatDialect::append_end(std::string& out, const AnswerHead&, const AnswerEnd& end) {
  out += prefix_;
  out += R"(},"logprobs":null,"finish_reason":)";
  append_reason(out, end);
  out += "}]";
  out += frame_.close();
  frame_.append_end(out, end);
}

void ChatDialect::append_cut(std::string& out, const AnswerHead&, const ApiError& error) {
  append_openai_cut(out, error);
}

void ChatDialect::append_reason(std::string& out, const AnswerEnd& end) const {
  const bool is_old_call = form_ == CallForm::kFunctionCall && end.finish_reason == "tool_calls";
  append_json_text(out, is_old_call ? std::string_view("function_call") : std::string_view(end.finish_reason));
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

std::string ChatDialect::body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                              const AnswerEnd& end) {
  std::string out;
  out.reserve(1'024 + reasoning.size() + content.size());
  out += '{';
  append_openai_identity(out, head, kChatIdPrefix, "chat.completion");
  out += R"(,"variant":)";
  append_json_text(out, head.variant);
  out += R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)";
  if (content.empty() && !end.tool_calls.empty()) {
    out += "null";
  } else {
    append_json_text(out, content);
  }
  if (!reasoning.empty()) {
    out += R"(,"reasoning_content":)";
    append_json_text(out, reasoning);
  }
  append_whole_calls(out, end.tool_calls);
  out += R"(,"refusal":null},"logprobs":null,"finish_reason":)";
  append_reason(out, end);
  out += "}],";
  append_openai_bill(out, end);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
