// Text through the writer of each dialect: what leaves is JSON in server-sent events, and says the same text.
//
// Input: dialect, options, texts of the head, then up to three steps (text or keep-alive), then an end or a cut.
#include <memory>
#include <optional>
#include <string>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "gateway/http/anthropic_answer.h"
#include "gateway/http/chat_answer.h"
#include "gateway/http/completion_answer.h"
#include "gateway/http/responses_answer.h"
#include "tests/fuzz/input.h"

namespace tidegate::gateway {
namespace {

enum class Kind : std::uint8_t { kChat, kCompletion, kAnthropic, kResponses };
constexpr std::size_t kStepsMax = 3;  // a dialect that can be upset needs no more, and every event is read again

/// What a client has understood.
struct Heard {
  std::string reasoning, content;
  std::int64_t events = 0;
  bool has_ended = false, was_cut = false;
};

std::string string_of(const json::object& from, std::string_view key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object* first_choice(const json::object& root) {
  const json::value* choices = root.if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return nullptr;
  return choices->get_array().front().if_object();
}

void hear_openai(Kind kind, const json::object& root, Heard& heard) {
  if (root.contains("error")) heard.was_cut = true;
  const json::object* choice = first_choice(root);
  if (choice == nullptr) return;
  if (kind == Kind::kCompletion) {
    heard.content += string_of(*choice, "text");
    return;
  }
  const json::value* delta = choice->if_contains("delta");
  TG_CLAIM("a chunk has a delta", delta != nullptr && delta->is_object());
  heard.content += string_of(delta->get_object(), "content");
  heard.reasoning += string_of(delta->get_object(), "reasoning_content");
}

void hear_anthropic(const std::string& type, const json::object& root, Heard& heard) {
  if (type == "error") heard.was_cut = true;
  if (type == "message_stop") heard.has_ended = true;
  if (type != "content_block_delta") return;
  const json::object& delta = root.at("delta").as_object();
  heard.content += string_of(delta, "text");
  heard.reasoning += string_of(delta, "thinking");
}

void hear_responses(const std::string& type, const json::object& root, Heard& heard) {
  TG_CLAIM("events are numbered", root.at("sequence_number").to_number<std::int64_t>() == heard.events - 1);
  if (type == "error") heard.was_cut = true;
  if (type == "response.completed" || type == "response.incomplete") heard.has_ended = true;
  if (type == "response.output_text.delta") heard.content += string_of(root, "delta");
  if (type == "response.reasoning_text.delta") heard.reasoning += string_of(root, "delta");
}

void hear(Kind kind, const sse::Parser::Event& event, Heard& heard) {
  TG_CLAIM("nothing follows the end", !heard.has_ended);
  ++heard.events;
  if (event.data == "[DONE]") {
    heard.has_ended = true;
    return;
  }
  const auto document = json::parse(event.data);
  TG_CLAIM("an event is JSON", document && document->is_object());
  const json::object& root = document->get_object();
  const bool is_openai = kind == Kind::kChat || kind == Kind::kCompletion;
  TG_CLAIM("an event has the name of its type", event.name == (is_openai ? "" : string_of(root, "type")));
  if (is_openai) {
    hear_openai(kind, root, heard);
  } else if (kind == Kind::kAnthropic) {
    hear_anthropic(event.name, root, heard);
  } else {
    hear_responses(event.name, root, heard);
  }
}

std::unique_ptr<AnswerDialect> make(Kind kind, bool include_usage, const std::string& echo,
                                    const PlanSampling& sampling) {
  switch (kind) {
    case Kind::kChat:
      return std::make_unique<ChatDialect>(include_usage);
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

void check_body(Kind kind, const std::string& body, const std::string& reasoning, const std::string& content) {
  TG_CLAIM("an answer is UTF-8", is_valid_utf8(body));
  const auto document = json::parse(body);
  TG_CLAIM("an answer is JSON", document && document->is_object());
  const json::object& root = document->get_object();
  std::string thought, said;
  if (kind == Kind::kAnthropic) {
    thought = parts_of(root.at("content").as_array(), "thinking");
    said = parts_of(root.at("content").as_array(), "text");
  } else if (kind == Kind::kResponses) {
    for (const json::value& item : root.at("output").as_array()) {
      const json::object& object = item.as_object();
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
  end.finish_reason = input.flag() ? "length" : "stop";
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
  const auto dialect = make(kind, include_usage, echo, sampling);

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
  if (!is_stream) {
    const AnswerEnd end = read_end(input);
    check_body(kind, dialect->body(head, reasoning, content, end), reasoning,
               kind == Kind::kCompletion ? echo + content : content);
    return 0;
  }
  if (ends_well) {
    dialect->append_text(out, head, "", "");
    dialect->append_end(out, head, read_end(input));
  } else {
    dialect->append_cut(out, head, read_error(input));
  }
  TG_CLAIM("a stream is UTF-8", is_valid_utf8(out));
  Heard heard;
  sse::Parser parser([&](const sse::Parser::Event& event) { hear(kind, event, heard); });
  TG_CLAIM("a stream can be read", parser.feed(out));
  TG_CLAIM("a stream ends on a whole event", out.ends_with("\n\n"));
  TG_CLAIM("a stream tells its end from a cut", heard.has_ended == ends_well && heard.was_cut == !ends_well);
  if (kind == Kind::kCompletion && (ends_well || !content.empty())) content.insert(0, echo);
  // A completion that was cut before its first text may have shown the prompt or not.
  const bool is_open_question = kind == Kind::kCompletion && !ends_well;
  TG_CLAIM("a stream says what the model said",
           heard.content == content || (is_open_question && heard.content == echo));
  TG_CLAIM("and what it thought", heard.reasoning == reasoning);
  return 0;
}
