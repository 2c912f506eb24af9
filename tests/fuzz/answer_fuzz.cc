// Text and calls through the writer of each dialect: what leaves is JSON in server-sent events, and says the same.
//
// Input: dialect, options, texts of the head, then up to three steps (text or keep-alive), then calls if the options
// say so, then an end or a cut.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "gateway/http/anthropic_answer.h"
#include "gateway/http/chat_answer.h"
#include "gateway/http/completion_answer.h"
#include "gateway/http/responses_answer.h"
#include "tests/fuzz/heard_answer.h"
#include "tests/fuzz/input.h"

namespace tidegate::gateway {
namespace {

using fuzz::first_choice;
using fuzz::Heard;
using fuzz::HeardCall;
using fuzz::kBodyDepthMax;
using fuzz::Kind;
using fuzz::string_of;

constexpr std::size_t kStepsMax = 3;  // a dialect that can be upset needs no more, and every event is read again
constexpr std::size_t kCallsMax = 3, kPiecesMax = 3;

std::unique_ptr<AnswerDialect> make(Kind kind, bool include_usage, CallForm form, const std::string& echo,
                                    const PlanSampling& sampling) {
  switch (kind) {
    case Kind::kChat:
      return std::make_unique<ChatDialect>(include_usage, form);
    case Kind::kCompletion:
      return std::make_unique<CompletionDialect>(include_usage, echo);
    case Kind::kAnthropic:
      return std::make_unique<AnthropicDialect>();
    case Kind::kResponses:
      return std::make_unique<ResponsesDialect>(sampling);
  }
  return nullptr;
}

/// Texts in the parts of a whole answer, by their types.
std::string parts_of(const json::array& parts, std::string_view key) {
  std::string out;
  for (const json::value& part : parts) out += string_of(part.as_object(), key);
  return out;
}

/// Anthropic's input is an object: of the arguments, or around them when they are none.
void check_input(const json::value& input, const std::string& arguments) {
  TG_CLAIM("the input of a call is an object", input.is_object());
  const auto parsed = json::parse(arguments);
  if (parsed && parsed->is_object()) {
    TG_CLAIM("with every member of its arguments", input.get_object().size() == parsed->get_object().size());
  } else {
    TG_CLAIM("or with what the model wrote", string_of(input.get_object(), "INVALID_JSON") == arguments);
  }
}

/// Of `items`, those of type `type`.
std::vector<const json::object*> of_type(const json::array& items, std::string_view type) {
  std::vector<const json::object*> found;
  for (const json::value& item : items) {
    if (string_of(item.as_object(), "type") == type) found.push_back(&item.as_object());
  }
  return found;
}

void check_calls(Kind kind, CallForm form, const json::object& root, const ToolCallDeltas& calls) {
  if (kind == Kind::kCompletion) return;  // a raw prompt has no tools
  if (kind == Kind::kChat) {
    const json::object& message = first_choice(root)->at("message").as_object();
    if (calls.empty()) {
      TG_CLAIM("no calls, no member", !message.contains("tool_calls") && !message.contains("function_call"));
      return;
    }
    if (form == CallForm::kFunctionCall) {
      const json::object& call = message.at("function_call").as_object();
      TG_CLAIM("the old form says the call", string_of(call, "name") == calls.front().name &&
                                                 string_of(call, "arguments") == calls.front().arguments);
      return;
    }
    const json::array& said = message.at("tool_calls").as_array();
    TG_CLAIM("an answer has every call", said.size() == calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const json::object& function = said[i].as_object().at("function").as_object();
      TG_CLAIM("as the model made it", string_of(said[i].as_object(), "id") == calls[i].id &&
                                           string_of(function, "name") == calls[i].name &&
                                           string_of(function, "arguments") == calls[i].arguments);
    }
    return;
  }
  const bool is_anthropic = kind == Kind::kAnthropic;
  const auto said =
      of_type(root.at(is_anthropic ? "content" : "output").as_array(), is_anthropic ? "tool_use" : "function_call");
  TG_CLAIM("an answer has every call", said.size() == calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    TG_CLAIM("under its id and name", string_of(*said[i], is_anthropic ? "id" : "call_id") == calls[i].id &&
                                          string_of(*said[i], "name") == calls[i].name);
    if (is_anthropic) {
      check_input(said[i]->at("input"), calls[i].arguments);
    } else {
      TG_CLAIM("with its arguments", string_of(*said[i], "arguments") == calls[i].arguments);
    }
  }
}

void check_body(Kind kind, const std::string& body, const std::string& reasoning, const std::string& content,
                CallForm form, const ToolCallDeltas& calls) {
  TG_CLAIM("an answer is UTF-8", is_valid_utf8(body));
  const auto document = json::parse(body, kBodyDepthMax);
  TG_CLAIM("an answer is JSON", document && document->is_object());
  const json::object& root = document->get_object();
  std::string thought, said;
  if (kind == Kind::kAnthropic) {
    thought = parts_of(root.at("content").as_array(), "thinking");
    said = parts_of(root.at("content").as_array(), "text");
  } else if (kind == Kind::kResponses) {
    for (const json::value& item : root.at("output").as_array()) {
      const json::object& object = item.as_object();
      if (string_of(object, "type") == "function_call") continue;
      (string_of(object, "type") == "reasoning" ? thought : said) += parts_of(object.at("content").as_array(), "text");
    }
  } else {
    const json::object* choice = first_choice(root);
    TG_CLAIM("an answer has a choice", choice != nullptr);
    if (kind == Kind::kCompletion) {
      said = string_of(*choice, "text");
    } else {
      said = string_of(choice->at("message").as_object(), "content");
      thought = string_of(choice->at("message").as_object(), "reasoning_content");
    }
  }
  TG_CLAIM("an answer says what the model said", said == content);
  TG_CLAIM("and what it thought", thought == reasoning);
  check_calls(kind, form, root, calls);
}

/// In pieces, as workers send them. The old form has room for one call: the plan asks for no more.
std::vector<ToolCallDeltas> read_calls(fuzz::Input& input, CallForm form) {
  std::vector<ToolCallDeltas> calls;
  const std::size_t count = form == CallForm::kFunctionCall ? 1 : 1 + input.below(kCallsMax);
  for (std::size_t i = 0; i < count; ++i) {
    ToolCallDeltas pieces(1 + input.below(kPiecesMax));
    for (ToolCallDelta& piece : pieces) {
      piece.index = static_cast<std::int32_t>(i);
      piece.arguments = input.text();
    }
    pieces.front().id = "c" + input.text();
    pieces.front().name = input.text();
    calls.push_back(std::move(pieces));
  }
  return calls;
}

AnswerHead read_head(fuzz::Input& input) {
  AnswerHead head;
  head.request = RequestId{*Uuid::from_bytes("0123456789abcdef")};
  head.model = input.text();
  head.variant = input.text();
  head.weights_digest = input.text();
  head.created = wall_from_unix_micros(static_cast<std::int64_t>(input.number(6)));
  head.accepted = {.prompt = static_cast<std::int64_t>(input.number(1)), .cached = 0, .completion = 0, .reasoning = 0};
  return head;
}

AnswerEnd read_end(fuzz::Input& input) {
  AnswerEnd end;
  constexpr const char* kReasons[] = {"stop", "length", "tool_calls", "content_filter"};
  end.finish_reason = kReasons[input.below(4)];
  end.stop_text = input.text();
  end.usage.prompt = static_cast<std::int64_t>(input.number(4));
  end.usage.completion = static_cast<std::int64_t>(input.number(4));
  end.settlement.amount = Money::from_pico(static_cast<Int128>(input.number(8)) * (input.flag() ? 1'000'000 : 1));
  end.settlement.currency = input.text();
  end.settlement.band = input.text();
  end.settlement.price_version = input.text();
  end.settlement.receipt = std::string(input.piece());
  return end;
}

ApiError read_error(fuzz::Input& input) {
  Error error;
  error.code = static_cast<Code>(1 + input.below(16));
  error.reason = input.text();
  error.message = input.text();
  error.field = input.text();
  return to_api_error(error);
}

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  using namespace tidegate::gateway;
  fuzz::Input input(data, size);
  const auto kind = static_cast<Kind>(input.below(4));
  const std::uint8_t options = input.byte();
  const bool include_usage = (options & 1) != 0, is_stream = (options & 2) != 0, ends_well = (options & 4) != 0;
  const AnswerHead head = read_head(input);
  const std::string echo = (options & 8) != 0 ? input.text() : std::string();
  PlanSampling sampling;
  if ((options & 16) != 0) sampling.temperature = static_cast<double>(input.number(4)) / 2'147'483'648.0;
  if ((options & 32) != 0) sampling.top_p = 1.0 / (1.0 + static_cast<double>(input.number(4)));
  sampling.max_tokens = static_cast<std::int32_t>(input.number(2));
  const bool has_calls = (options & 64) != 0;
  const CallForm form = (options & 128) != 0 ? CallForm::kFunctionCall : CallForm::kToolCalls;
  const auto dialect = make(kind, include_usage, form, echo, sampling);

  std::string out, reasoning, content;
  if (is_stream) dialect->append_keep_alive(out, head);
  for (std::size_t step = 0; step < kStepsMax && !input.is_empty(); ++step) {
    if (is_stream && input.below(4) == 0) {
      dialect->append_keep_alive(out, head);
      continue;
    }
    const std::string thought = input.text(), said = input.text();
    if (is_stream) dialect->append_text(out, head, thought, said);
    reasoning += thought;
    content += said;
  }
  if (kind == Kind::kCompletion) reasoning.clear();  // left out by this dialect
  std::vector<ToolCallDeltas> calls;
  if (has_calls) calls = read_calls(input, form);
  ToolCallDeltas whole;
  for (const ToolCallDeltas& pieces : calls) {
    if (is_stream) dialect->append_calls(out, head, pieces);
    append_calls(whole, pieces);
  }
  if (!is_stream) {
    AnswerEnd end = read_end(input);
    end.tool_calls = whole;
    check_body(kind, dialect->body(head, reasoning, content, end), reasoning,
               kind == Kind::kCompletion ? echo + content : content, form, whole);
    return 0;
  }
  std::string late;  // behind a call: kept back until the end by those that have no place for it
  if (has_calls) late = input.text();
  if (!late.empty()) dialect->append_text(out, head, "", late);
  if (ends_well) {
    dialect->append_text(out, head, "", "");
    dialect->append_end(out, head, read_end(input));
  } else {
    dialect->append_cut(out, head, read_error(input));
  }
  TG_CLAIM("a stream is UTF-8", is_valid_utf8(out));
  const bool is_kept_back = kind == Kind::kAnthropic || kind == Kind::kResponses;
  if (ends_well || !is_kept_back) content += late;
  Heard heard;
  sse::Parser parser([&](const sse::Parser::Event& event) { fuzz::hear(kind, event, heard); });
  TG_CLAIM("a stream can be read", parser.feed(out));
  TG_CLAIM("a stream ends on a whole event", out.ends_with("\n\n"));
  TG_CLAIM("a stream tells its end from a cut", heard.has_ended == ends_well && heard.was_cut == !ends_well);
  if (kind == Kind::kCompletion && (ends_well || !content.empty())) content.insert(0, echo);
  // A completion that was cut before its first text may have shown the prompt or not.
  const bool is_open_question = kind == Kind::kCompletion && !ends_well;
  TG_CLAIM("a stream says what the model said",
           heard.content == content || (is_open_question && heard.content == echo));
  TG_CLAIM("and what it thought", heard.reasoning == reasoning);
  if (kind == Kind::kCompletion) return 0;
  TG_CLAIM("every call is heard", heard.calls.size() == whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const HeardCall call{kind == Kind::kChat && form == CallForm::kFunctionCall ? "" : whole[i].id, whole[i].name,
                         whole[i].arguments};
    TG_CLAIM("as the model made it", heard.calls[i] == call);
  }
  return 0;
}
