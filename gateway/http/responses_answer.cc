#include "gateway/http/responses_answer.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "base/core/json_text.h"
#include "base/core/log.h"
#include "gateway/http/answer_cost.h"
#include "gateway/http/keep_alive.h"
#include "gateway/http/logprob_answer.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kFiltered = "content_filter";

std::string_view status_of(const AnswerEnd& end) {
  return end.finish_reason == "length" || end.finish_reason == kFiltered ? "incomplete" : "completed";
}

/// A field of the plan as this dialect calls it; engines name the plan's.
ApiError in_own_words(ApiError error) {
  if (error.param == "messages") error.param = "input";
  if (error.param == "max_tokens") error.param = "max_output_tokens";
  if (error.param == "response_format") error.param = "text.format";
  if (error.param == "logprobs") error.param = "top_logprobs";
  return error;
}

void append_text_or_null(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += "null";
  } else {
    append_json_string(out, text);
  }
}

void append_number_or_null(std::string& out, const std::optional<double>& number) {
  if (number) {
    fmt::format_to(std::back_inserter(out), "{}", *number);
  } else {
    out += "null";
  }
}

void append_usage(std::string& out, const AnswerEnd& end) {
  const TokenUsage& usage = end.usage;
  fmt::format_to(std::back_inserter(out),
                 R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}}},"output_tokens":{},)"
                 R"("output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{},)",
                 usage.prompt, usage.cached, usage.completion, usage.reasoning, usage.total());
  append_cost(out, end.settlement);
  out += '}';
}

std::string_view id_prefix(ResponsesItem::Kind kind) {
  switch (kind) {
    case ResponsesItem::Kind::kReasoning: return "\"rs_";
    case ResponsesItem::Kind::kMessage: return "\"msg_";
    case ResponsesItem::Kind::kCall: return "\"fc_";
  }
  return "\"msg_";
}

/// Unique in the response, and the same in every event: the request's id and the item's place.
void append_item_id(std::string& out, const AnswerHead& head, ResponsesItem::Kind kind, std::size_t index) {
  out += id_prefix(kind);
  out += head.request.to_string();
  out += '_';
  out += std::to_string(index);
  out += '"';
}

/// "logprobs":[...],
void append_logprobs_member(std::string& out, std::span<const TokenLogprob> logprobs) {
  out += R"("logprobs":[)";
  append_token_logprobs(out, logprobs);
  out += "],";
}

void append_content_part(std::string& out, bool is_reasoning, std::string_view text,
                         std::span<const TokenLogprob> logprobs) {
  if (is_reasoning) {
    out += R"({"type":"reasoning_text",)";
  } else {
    out += R"({"type":"output_text","annotations":[],)";
    append_logprobs_member(out, logprobs);
  }
  out += R"("text":)";
  append_json_text(out, text);
  out += '}';
}

/// A new item has no part yet, and a call no arguments: they are added by the events that follow.
enum class Content : std::uint8_t { kNone, kAll };

void append_call_item(std::string& out, const ResponsesItem& item, std::string_view status, Content content) {
  out += R"(,"type":"function_call","status":)";
  append_json_text(out, status);
  out += R"(,"call_id":)";
  append_json_text(out, item.call_id);
  out += R"(,"name":)";
  append_json_text(out, item.name);
  out += R"(,"arguments":)";
  append_json_text(out, content == Content::kAll ? std::string_view(item.text) : std::string_view());
  out += '}';
}

void append_item(std::string& out, const AnswerHead& head, const ResponsesItem& item, std::size_t index,
                 std::string_view status, Content content) {
  out += R"({"id":)";
  append_item_id(out, head, item.kind, index);
  if (item.kind == ResponsesItem::Kind::kCall) return append_call_item(out, item, status, content);
  const bool is_reasoning = item.kind == ResponsesItem::Kind::kReasoning;
  out += is_reasoning ? R"(,"type":"reasoning","summary":[],"status":)"
                      : R"(,"type":"message","role":"assistant","status":)";
  append_json_text(out, status);
  out += R"(,"content":[)";
  if (content == Content::kAll) append_content_part(out, is_reasoning, item.text, item.logprobs);
  out += "]}";
}

std::string choice_text(const PlanToolChoice& choice) {
  switch (choice.mode) {
    case ToolMode::kAuto: return "\"auto\"";
    case ToolMode::kNone: return "\"none\"";
    case ToolMode::kRequired: return "\"required\"";
    case ToolMode::kFunction: return R"({"type":"function","name":")" + choice.name + R"("})";
  }
  return "\"auto\"";
}

std::string format_text(const PlanFormat& format) {
  switch (format.kind) {
    case FormatKind::kText: return R"({"type":"text"})";
    case FormatKind::kJsonObject: return R"({"type":"json_object"})";
    case FormatKind::kJsonSchema: break;
  }
  std::string out = R"({"type":"json_schema","description":null,"name":)";
  append_json_text(out, format.name);
  out += R"(,"schema":)";
  out += format.schema;
  out += format.strict ? R"(,"strict":true})" : R"(,"strict":false})";
  return out;
}

}  // namespace

std::string responses_error_body(const ApiError& error, const RequestId&) {
  std::string out;
  append_error_json(out, in_own_words(error));
  return out;
}

ResponsesEcho echo_of(const Plan& plan) {
  ResponsesEcho echo;
  echo.parallel_tool_calls = plan.parallel_tool_calls.value_or(true);
  echo.tool_choice = choice_text(plan.tool_choice);
  echo.format = format_text(plan.response_format);
  echo.tools = "[";
  for (const PlanTool& tool : plan.tools) {
    if (echo.tools.size() > 1) echo.tools += ',';
    // A plan's names need no escapes.
    echo.tools += R"({"type":"function","name":")" + tool.name + R"(","description":null,"parameters":null,"strict":)";
    echo.tools += tool.strict ? "true}" : "false}";
  }
  echo.tools += ']';
  return echo;
}

ResponsesDialect::ResponsesDialect(const PlanSampling& asked, ResponsesEcho echo)
    : temperature_(asked.temperature), top_p_(asked.top_p), max_tokens_(asked.max_tokens), echo_(std::move(echo)) {}

void ResponsesDialect::begin_event(std::string& out, std::string_view type) {
  fmt::format_to(std::back_inserter(out), "event: {}\ndata: {{\"type\":\"{}\",\"sequence_number\":{}", type, type,
                 sequence_++);
}

void ResponsesDialect::append_response(std::string& out, const AnswerHead& head, std::string_view status,
                                       std::string_view item_status, const AnswerEnd* end,
                                       const ApiError* error) const {
  fmt::format_to(std::back_inserter(out),
                 R"({{"id":"resp_{}","object":"response","created_at":{},"status":"{}","background":false,"error":)",
                 head.request.to_string(), unix_micros(head.created) / 1'000'000, status);
  if (error == nullptr) {
    out += "null";
  } else {
    out += R"({"code":)";
    append_json_string(out, error->code);
    out += R"(,"message":)";
    append_json_string(out, error->message);
    out += '}';
  }
  if (status != "incomplete") {
    out += R"(,"incomplete_details":null)";
  } else if (end != nullptr && end->finish_reason == kFiltered) {
    out += R"(,"incomplete_details":{"reason":"content_filter"})";
  } else {
    out += R"(,"incomplete_details":{"reason":"max_output_tokens"})";
  }
  // Instructions and metadata are not repeated: nothing is kept, and long ones would travel three times.
  out += R"(,"instructions":null,"metadata":{},"max_output_tokens":)";
  out += max_tokens_ > 0 ? std::to_string(max_tokens_) : "null";
  out += R"(,"model":)";
  append_json_text(out, head.model);
  out += R"(,"variant":)";
  append_text_or_null(out, head.variant);
  out += R"(,"output":[)";
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (i > 0) out += ',';
    const bool is_last = i + 1 == items_.size();
    append_item(out, head, items_[i], i, is_last ? item_status : "completed", Content::kAll);
  }
  out += echo_.parallel_tool_calls ? R"(],"parallel_tool_calls":true)" : R"(],"parallel_tool_calls":false)";
  out += R"(,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},)";
  append_openai_tier(out, head);
  out += R"("store":false,"temperature":)";
  append_number_or_null(out, temperature_);
  out += R"(,"text":{"format":)" + echo_.format + R"(},"tool_choice":)" + echo_.tool_choice + R"(,"tools":)";
  out += echo_.tools;
  out += R"(,"top_p":)";
  append_number_or_null(out, top_p_);
  out += R"(,"truncation":"disabled","usage":)";
  if (end == nullptr) {
    out += "null";
  } else {
    append_usage(out, *end);
    append_receipt_member(out, end->settlement);
  }
  out += '}';
}

void ResponsesDialect::open(std::string& out, const AnswerHead& head) {
  if (is_open_) return;
  is_open_ = true;
  for (const std::string_view type : {"response.created", "response.in_progress"}) {
    begin_event(out, type);
    out += R"(,"response":)";
    append_response(out, head, "in_progress", "in_progress", nullptr, nullptr);
    out += kEventEnd;
  }
}

void ResponsesDialect::append_place(std::string& out, const AnswerHead& head) const {
  const std::size_t index = items_.size() - 1;
  out += R"(,"item_id":)";
  append_item_id(out, head, items_.back().kind, index);
  out += R"(,"output_index":)";
  out += std::to_string(index);
  if (items_.back().kind != Kind::kCall) out += R"(,"content_index":0)";
}

void ResponsesDialect::append_added(std::string& out, const AnswerHead& head) {
  const std::size_t index = items_.size() - 1;
  begin_event(out, "response.output_item.added");
  out += R"(,"output_index":)";
  out += std::to_string(index);
  out += R"(,"item":)";
  append_item(out, head, items_.back(), index, "in_progress", Content::kNone);
  out += kEventEnd;
}

void ResponsesDialect::enter_call(std::string& out, const AnswerHead& head, const ToolCallDelta& call) {
  leave(out, head, "completed");
  items_.push_back(ResponsesItem{Kind::kCall, {}, call.id, call.name});
  append_added(out, head);
}

void ResponsesDialect::enter(std::string& out, const AnswerHead& head, Kind kind) {
  if (!items_.empty() && items_.back().kind == kind) return;
  leave(out, head, "completed");
  items_.push_back(ResponsesItem{kind, {}, {}, {}});
  append_added(out, head);
  begin_event(out, "response.content_part.added");
  append_place(out, head);
  out += R"(,"part":)";
  append_content_part(out, kind == Kind::kReasoning, "", {});
  out += kEventEnd;
}

void ResponsesDialect::append_arguments_done(std::string& out, const AnswerHead& head) {
  begin_event(out, "response.function_call_arguments.done");
  append_place(out, head);
  out += R"(,"name":)";
  append_json_text(out, items_.back().name);
  out += R"(,"arguments":)";
  append_json_text(out, items_.back().text);
  out += kEventEnd;
}

void ResponsesDialect::append_text_done(std::string& out, const AnswerHead& head) {
  const ResponsesItem& item = items_.back();
  const bool is_reasoning = item.kind == Kind::kReasoning;
  begin_event(out, is_reasoning ? "response.reasoning_text.done" : "response.output_text.done");
  append_place(out, head);
  out += ',';
  if (!is_reasoning) append_logprobs_member(out, item.logprobs);
  out += R"("text":)";
  append_json_text(out, item.text);
  out += kEventEnd;
  begin_event(out, "response.content_part.done");
  append_place(out, head);
  out += R"(,"part":)";
  append_content_part(out, is_reasoning, item.text, item.logprobs);
  out += kEventEnd;
}

void ResponsesDialect::leave(std::string& out, const AnswerHead& head, std::string_view status) {
  if (items_.empty()) return;
  if (items_.back().kind == Kind::kCall) {
    append_arguments_done(out, head);
  } else {
    append_text_done(out, head);
  }
  const std::size_t index = items_.size() - 1;
  begin_event(out, "response.output_item.done");
  out += R"(,"output_index":)";
  out += std::to_string(index);
  out += R"(,"item":)";
  append_item(out, head, items_.back(), index, status, Content::kAll);
  out += kEventEnd;
}

void ResponsesDialect::append_delta(std::string& out, const AnswerHead& head, Kind kind, std::string_view text) {
  enter(out, head, kind);
  items_.back().text += text;
  const bool is_reasoning = kind == Kind::kReasoning;
  begin_event(out, is_reasoning ? "response.reasoning_text.delta" : "response.output_text.delta");
  append_place(out, head);
  out += ',';
  if (!is_reasoning) {
    append_logprobs_member(out, weighed_);
    append_logprobs(items_.back().logprobs, std::exchange(weighed_, {}));
  }
  out += R"("delta":)";
  append_json_text(out, text);
  out += kEventEnd;
}

void ResponsesDialect::append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) {
  for (const TokenLogprob& token : part.logprobs) {
    if (!token.in_reasoning) weighed_.push_back(token);
  }
  append_text(out, head, part.reasoning, part.content);
  append_calls(out, head, part.tool_calls);
}

void ResponsesDialect::append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                                   std::string_view content) {
  open(out, head);
  if (!reasoning.empty()) append_delta(out, head, Kind::kReasoning, reasoning);
  if (content.empty()) return;
  if (!items_.empty() && items_.back().kind == Kind::kCall) {
    kept_back_ += content;
    return;
  }
  append_delta(out, head, Kind::kMessage, content);
}

void ResponsesDialect::append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) {
  if (calls.empty()) return;
  open(out, head);
  for (const ToolCallDelta& call : calls) {
    if (call.is_first()) enter_call(out, head, call);
    // A worker whose first piece has no id must not bring the gateway down.
    const bool is_in_call = !items_.empty() && items_.back().kind == Kind::kCall;
    if (call.arguments.empty() || !is_in_call) continue;
    items_.back().text += call.arguments;
    begin_event(out, "response.function_call_arguments.delta");
    append_place(out, head);
    out += R"(,"delta":)";
    append_json_text(out, call.arguments);
    out += kEventEnd;
  }
}

void ResponsesDialect::append_keep_alive(std::string& out, const AnswerHead& head) {
  if (is_open_) {
    append_keep_alive_comment(out, head);
  } else {
    open(out, head);
  }
}

void ResponsesDialect::append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) {
  const std::string_view status = status_of(end);
  if (!kept_back_.empty()) append_delta(out, head, Kind::kMessage, std::exchange(kept_back_, {}));
  leave(out, head, status);
  begin_event(out, status == "completed" ? "response.completed" : "response.incomplete");
  out += R"(,"response":)";
  append_response(out, head, status, status, &end, nullptr);
  out += kEventEnd;
}

void ResponsesDialect::append_cut(std::string& out, const AnswerHead& head, const ApiError& error) {
  open(out, head);
  const ApiError named = in_own_words(error);
  begin_event(out, "response.failed");
  out += R"(,"response":)";
  append_response(out, head, "failed", "incomplete", nullptr, &named);
  out += kEventEnd;
  begin_event(out, "error");
  out += R"(,"code":)";
  append_json_string(out, named.code);
  out += R"(,"message":)";
  append_json_string(out, named.message);
  out += R"(,"param":)";
  append_text_or_null(out, named.param);
  // {"error":{...}} without its outer braces: a member of this event.
  std::string object;
  append_error_json(object, named);
  out += ',';
  out += std::string_view(object).substr(1, object.size() - 2);
  out += kEventEnd;
}

std::string ResponsesDialect::body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                                   const AnswerEnd& end) {
  if (!reasoning.empty()) items_.push_back(ResponsesItem{Kind::kReasoning, std::string(reasoning), {}, {}});
  if (!content.empty()) {
    TokenLogprobs weighed = end.logprobs;
    std::erase_if(weighed, [](const TokenLogprob& token) { return token.in_reasoning; });
    items_.push_back(ResponsesItem{Kind::kMessage, std::string(content), {}, {}, std::move(weighed)});
  }
  for (const ToolCallDelta& call : end.tool_calls) {
    items_.push_back(ResponsesItem{Kind::kCall, call.arguments, call.id, call.name});
  }
  const std::string_view status = status_of(end);
  std::string out;
  out.reserve(2'048 + reasoning.size() + content.size());
  append_response(out, head, status, status, &end, nullptr);
  return out;
}

}  // namespace tidegate::gateway
