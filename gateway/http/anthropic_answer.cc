#include "gateway/http/anthropic_answer.h"

#include <fmt/format.h>

#include <iterator>

#include "base/core/json_text.h"
#include "base/core/log.h"
#include "base/json/json_dump.h"
#include "gateway/http/answer_cost.h"
#include "gateway/http/keep_alive.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kPing = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// event: <type>, data: {"type":"<type>"
void begin_event(std::string& out, std::string_view type) {
  out += "event: ";
  out += type;
  out += "\ndata: {\"type\":\"";
  out += type;
  out += '"';
}

void append_index(std::string& out, std::int64_t index) {
  out += R"(,"index":)";
  out += std::to_string(index);
}

/// Up to the content: "id":...,"model":...,"variant":...
void append_identity(std::string& out, const AnswerHead& head) {
  out += R"("id":"msg_)";
  out += head.request.to_string();
  out += R"(","type":"message","role":"assistant","model":)";
  append_json_text(out, head.model);
  out += R"(,"variant":)";
  append_json_text(out, head.variant);
}

/// Without braces. input_tokens excludes what the cache had: readers add the two.
void append_counts(std::string& out, const TokenUsage& usage) {
  fmt::format_to(std::back_inserter(out),
                 R"("input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":{},"output_tokens":{},)"
                 R"("output_tokens_details":{{"thinking_tokens":{}}})",
                 usage.prompt - usage.cached, usage.cached, usage.completion, usage.reasoning);
}

/// "service_tier":"...", with a comma behind it, in this dialect's words; nothing when the client named none.
void append_tier(std::string& out, const AnswerHead& head) {
  if (head.service_tier.empty()) return;
  out += head.service_tier == tier_name(ServiceTier::kPriority) ? R"("service_tier":"priority",)"
                                                                : R"("service_tier":"standard",)";
}

/// "usage":{...} and the receipt.
void append_bill(std::string& out, const AnswerHead& head, const AnswerEnd& end) {
  out += R"("usage":{)";
  append_counts(out, end.usage);
  out += ',';
  append_tier(out, head);
  append_cost(out, end.settlement);
  out += '}';
  append_receipt_member(out, end.settlement);
}

/// "stop_reason":...,"stop_sequence":...
void append_stop(std::string& out, const AnswerEnd& end) {
  std::string_view reason = "end_turn";
  if (end.finish_reason == "length") {
    reason = "max_tokens";
  } else if (end.finish_reason == "content_filter") {
    reason = "refusal";
  } else if (end.finish_reason == "tool_calls") {
    reason = "tool_use";
  } else if (!end.stop_text.empty()) {
    reason = "stop_sequence";
  }
  out += R"("stop_reason":)";
  append_json_text(out, reason);
  out += R"(,"stop_sequence":)";
  if (reason == "stop_sequence") {
    append_json_text(out, end.stop_text);
  } else {
    out += "null";
  }
}

/// `input` is an object to every client. Arguments that are none (the model erred, or the answer was cut short) are
/// wrapped, as Anthropic asks clients to hand back what they could not read.
void append_tool_use(std::string& out, const ToolCallDelta& call) {
  out += R"({"type":"tool_use","id":)";
  append_json_text(out, call.id);
  out += R"(,"name":)";
  append_json_text(out, call.name);
  out += R"(,"input":)";
  const auto parsed = json::parse(call.arguments);
  if (parsed && parsed->is_object()) {
    out += json::dump(*parsed);
  } else {
    out += R"({"INVALID_JSON":)";
    append_json_text(out, call.arguments);
    out += '}';
  }
  out += '}';
}

}  // namespace

std::string_view anthropic_error_type(const ApiError& error) {
  switch (error.http_status) {
    case 401: return "authentication_error";
    case 402: return "billing_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 409: return "conflict_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return error.code == "server_overloaded" ? "overloaded_error" : "api_error";
    case 504: return "timeout_error";
    case kStatusOverloaded: return "overloaded_error";
    default: return error.http_status >= 500 ? "api_error" : "invalid_request_error";
  }
}

std::string anthropic_error_body(const ApiError& error, const RequestId& request) {
  std::string out = R"({"type":"error","error":{"type":)";
  append_json_string(out, anthropic_error_type(error));
  out += R"(,"message":)";
  append_json_string(out, error.message);
  out += R"(,"details":{"error_code":)";
  append_json_string(out, error.code);
  out += R"(,"param":)";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.param);
  }
  out += R"(}},"request_id":)";
  append_json_string(out, request.to_string());
  out += '}';
  return out;
}

void AnthropicDialect::open(std::string& out, const AnswerHead& head) {
  if (is_open_) return;
  is_open_ = true;
  begin_event(out, "message_start");
  out += R"(,"message":{)";
  append_identity(out, head);
  out += R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{)";
  append_tier(out, head);
  append_counts(out, head.accepted);
  out += "}}";
  out += kEventEnd;
}

void AnthropicDialect::leave(std::string& out, const AnswerHead& head) {
  if (block_ == Block::kThinking) append_delta(out, "signature_delta", "signature", head.request.to_string());
  if (block_ != Block::kNone) {
    begin_event(out, "content_block_stop");
    append_index(out, index_);
    out += kEventEnd;
  }
  block_ = Block::kNone;
}

void AnthropicDialect::enter_call(std::string& out, const AnswerHead& head, const ToolCallDelta& call) {
  leave(out, head);
  block_ = Block::kCall;
  begin_event(out, "content_block_start");
  append_index(out, ++index_);
  out += R"(,"content_block":{"type":"tool_use","id":)";
  append_json_text(out, call.id);
  out += R"(,"name":)";
  append_json_text(out, call.name);
  out += R"(,"input":{}})";
  out += kEventEnd;
}

void AnthropicDialect::enter(std::string& out, const AnswerHead& head, Block block) {
  if (block_ == block) return;
  leave(out, head);
  block_ = block;
  begin_event(out, "content_block_start");
  append_index(out, ++index_);
  out += block == Block::kThinking ? R"(,"content_block":{"type":"thinking","thinking":"","signature":""})"
                                   : R"(,"content_block":{"type":"text","text":""})";
  out += kEventEnd;
}

void AnthropicDialect::append_delta(std::string& out, std::string_view kind, std::string_view key,
                                    std::string_view text) const {
  begin_event(out, "content_block_delta");
  append_index(out, index_);
  out += R"(,"delta":{"type":")";
  out += kind;
  out += R"(",")";
  out += key;
  out += R"(":)";
  append_json_text(out, text);
  out += '}';
  out += kEventEnd;
}

void AnthropicDialect::append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                                   std::string_view content) {
  open(out, head);
  if (!reasoning.empty()) {
    enter(out, head, Block::kThinking);
    append_delta(out, "thinking_delta", "thinking", reasoning);
  }
  if (content.empty()) return;
  if (block_ == Block::kCall) {
    kept_back_ += content;
    return;
  }
  enter(out, head, Block::kText);
  append_delta(out, "text_delta", "text", content);
}

void AnthropicDialect::append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) {
  if (calls.empty()) return;
  open(out, head);
  for (const ToolCallDelta& call : calls) {
    if (call.is_first()) enter_call(out, head, call);
    if (!call.arguments.empty()) append_delta(out, "input_json_delta", "partial_json", call.arguments);
  }
}

void AnthropicDialect::append_keep_alive(std::string& out, const AnswerHead& head) {
  if (head.accepted.prompt > 0) open(out, head);
  // Its clients expect pings; where the request stands is told beside them.
  if (head.place) append_keep_alive_comment(out, head);
  out += kPing;
}

void AnthropicDialect::append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) {
  leave(out, head);
  if (!kept_back_.empty()) {
    enter(out, head, Block::kText);
    append_delta(out, "text_delta", "text", kept_back_);
    leave(out, head);
  }
  begin_event(out, "message_delta");
  out += R"(,"delta":{)";
  append_stop(out, end);
  out += "},";
  append_bill(out, head, end);
  out += kEventEnd;
  begin_event(out, "message_stop");
  out += kEventEnd;
}

void AnthropicDialect::append_cut(std::string& out, const AnswerHead& head, const ApiError& error) {
  out += "event: error\ndata: ";
  out += anthropic_error_body(error, head.request);
  out += "\n\n";
}

std::string AnthropicDialect::body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                                   const AnswerEnd& end) {
  std::string out;
  out.reserve(1'024 + reasoning.size() + content.size());
  out += '{';
  append_identity(out, head);
  out += R"(,"content":[)";
  if (!reasoning.empty()) {
    out += R"({"type":"thinking","thinking":)";
    append_json_text(out, reasoning);
    out += R"(,"signature":)";
    append_json_text(out, head.request.to_string());
    out += '}';
  }
  if (!content.empty()) {
    if (!reasoning.empty()) out += ',';
    out += R"({"type":"text","text":)";
    append_json_text(out, content);
    out += '}';
  }
  for (const ToolCallDelta& call : end.tool_calls) {
    if (call.index > 0 || !reasoning.empty() || !content.empty()) out += ',';
    append_tool_use(out, call);
  }
  out += "],";
  append_stop(out, end);
  out += ',';
  append_bill(out, head, end);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
