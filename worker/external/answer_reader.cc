#include "worker/external/answer_reader.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::worker::external {
namespace {

/// Of an engine's own words, in an error of ours.
constexpr std::size_t kWordsBytesMax = 300;
constexpr std::size_t kNameBytesMax = 256;

std::unexpected<Error> malformed(std::string what) {
  return fail(Code::kInternal, "upstream_malformed", "the engine's stream cannot be read: " + std::move(what));
}

/// The text of a member; "" when it is absent or null.
Result<std::string_view> text_of(const json::object& from, std::string_view key) {
  const json::value* member = from.if_contains(key);
  if (member == nullptr || member->is_null()) return std::string_view();
  if (!member->is_string()) return malformed(fmt::format("'{}' is no text", key));
  return std::string_view(member->get_string().data(), member->get_string().size());
}

const json::object* object_of(const json::object& from, std::string_view key) {
  const json::value* member = from.if_contains(key);
  return member != nullptr && member->is_object() ? &member->get_object() : nullptr;
}

/// A number of tokens; unset when it is absent, or no such number.
std::optional<std::int64_t> tokens_of(const json::object& from, std::string_view key) {
  const auto number = json::find_int(from, key);
  if (!number || !*number || **number < 0 || **number > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return **number;
}

std::string words_of(std::string_view text) { return std::string(utf8_prefix(text, kWordsBytesMax)); }

/// The message of {"error":{"message"}}, {"error":"..."}, {"object":"error","message"} or {"message"}; "" without one.
std::string error_words(const json::object& body) {
  const json::object* inner = object_of(body, "error");
  const auto said = text_of(inner != nullptr ? *inner : body, inner != nullptr || !body.contains("error") ? "message" : "error");
  return said ? words_of(*said) : std::string();
}

std::unexpected<Error> gave_up(std::string_view finish) {
  return fail(Code::kUnavailable, "upstream_aborted",
              fmt::format("the engine behind this model gave the answer up ({}); send the request again", words_of(finish)));
}

}  // namespace

ReportedUsage read_usage(const json::object& usage) {
  ReportedUsage read;
  read.prompt = tokens_of(usage, "prompt_tokens");
  read.completion = tokens_of(usage, "completion_tokens");
  if (const json::object* details = object_of(usage, "prompt_tokens_details")) read.cached = tokens_of(*details, "cached_tokens");
  if (!read.cached) read.cached = tokens_of(usage, "prompt_cache_hit_tokens");
  if (!read.cached) read.cached = tokens_of(usage, "cached_tokens");
  if (const json::object* details = object_of(usage, "completion_tokens_details")) {
    read.reasoning = tokens_of(*details, "reasoning_tokens");
  }
  if (!read.reasoning) read.reasoning = tokens_of(usage, "reasoning_tokens");
  return read;
}

Error error_of_status(int status, std::string_view body) {
  std::string words;
  if (const auto document = json::parse(body); document && document->is_object()) words = error_words(document->get_object());
  const std::string said = words.empty() ? std::string() : ": " + words;
  switch (status) {
    case 400:
    case 413:
    case 422:
      return {Code::kInvalidArgument, "upstream_refused", "the engine behind this model refuses the request" + said};
    case 401:
    case 403:
      return {Code::kInternal, "upstream_unauthorized", "the engine behind this model does not take our key (external.api_key_file)"};
    case 404:
      return {Code::kInternal, "upstream_no_model",
              "the engine behind this model does not know it, or not this call (external.model, external.url)"};
    case 408:
    case 429:
    case 503:
      return {Code::kUnavailable, "upstream_busy", "the engine behind this model is busy; send the request again later"};
    default: break;
  }
  if (status >= 300 && status < 400) {
    return {Code::kInternal, "upstream_redirected",
            fmt::format("the engine behind this model answers {}; redirects are not followed (external.url)", status)};
  }
  return {Code::kUnavailable, "upstream_failed", fmt::format("the engine behind this model answers {}", status)};
}

AnswerReader::AnswerReader(Kind kind, std::string call_id_suffix, Limits limits)
    : kind_(kind), call_id_suffix_(std::move(call_id_suffix)), limits_(limits), parser_([this](const sse::Parser::Event& event) {
        if (failed_ && !is_done_) failed_ = read(event.data);
      }) {}

Status AnswerReader::feed(std::string_view bytes, AnswerPiece& piece) {
  if (!failed_ || is_done_) return failed_;
  bytes_ += bytes.size();
  piece_ = &piece;
  const bool is_fed = parser_.feed(bytes);
  piece_ = nullptr;
  if (failed_ && (!is_fed || bytes_ > limits_.bytes_max)) {
    failed_ = fail(Code::kInternal, "upstream_oversize",
                   is_fed ? fmt::format("the engine's stream is longer than {} MiB", limits_.bytes_max >> 20)
                          : fmt::format("an event of the engine's stream is longer than {} MiB", sse::Parser::kEventBytesMax >> 20));
  }
  return failed_;
}

Status AnswerReader::read(std::string_view data) {
  if (data == "[DONE]") {
    is_done_ = true;
    return {};
  }
  const auto document = json::parse(data);
  if (!document) return malformed(document.error().message);
  if (!document->is_object()) return malformed("an event is no object");
  const json::object& event = document->get_object();
  const json::value* error = event.if_contains("error");
  const auto object = text_of(event, "object");
  if ((error != nullptr && !error->is_null()) || (object && *object == "error")) {
    const std::string words = error_words(event);
    return fail(Code::kUnavailable, "upstream_failed",
                words.empty() ? "the engine behind this model failed" : "the engine behind this model failed: " + words);
  }
  if (const json::object* usage = object_of(event, "usage")) piece_->usage = read_usage(*usage);
  const json::value* choices = event.if_contains("choices");
  if (choices == nullptr || choices->is_null()) return {};
  if (!choices->is_array()) return malformed("'choices' is no list");
  if (choices->get_array().size() > 1) return malformed("more than one answer");
  if (choices->get_array().empty()) return {};
  const json::value& choice = choices->get_array().front();
  if (!choice.is_object()) return malformed("a choice is no object");
  return read_choice(choice.get_object());
}

Status AnswerReader::read_choice(const json::object& choice) {
  if (kind_ == Kind::kText) {
    TG_ASSIGN(const std::string_view text, text_of(choice, "text"));
    TG_TRY(add_text(text, piece_->content));
  } else if (const json::object* delta = object_of(choice, "delta")) {
    TG_TRY(read_delta(*delta));
  }
  // Some repeat an older member of usage here.
  if (const json::object* usage = object_of(choice, "usage")) piece_->usage = read_usage(*usage);
  return read_finish(choice);
}

Status AnswerReader::read_delta(const json::object& delta) {
  TG_ASSIGN(const std::string_view thinking, text_of(delta, "reasoning_content"));
  if (!thinking.empty()) {
    TG_TRY(add_text(thinking, piece_->reasoning));
  } else {
    const json::value* other = delta.if_contains("reasoning");
    if (other != nullptr && other->is_string()) {
      TG_TRY(add_text(std::string_view(other->get_string().data(), other->get_string().size()), piece_->reasoning));
    }
  }
  TG_ASSIGN(const std::string_view content, text_of(delta, "content"));
  TG_TRY(add_text(content, piece_->content));
  const json::value* calls = delta.if_contains("tool_calls");
  if (calls == nullptr || calls->is_null()) return {};
  if (!calls->is_array()) return malformed("'tool_calls' is no list");
  for (const json::value& call : calls->get_array()) {
    if (!call.is_object()) return malformed("a call is no object");
    TG_TRY(read_call(call.get_object()));
  }
  return {};
}

Status AnswerReader::read_call(const json::object& call) {
  const json::object* function = object_of(call, "function");
  static const json::object kNothing;
  const json::object& said_of = function != nullptr ? *function : kNothing;
  TG_ASSIGN(const std::string_view name, text_of(said_of, "name"));
  TG_ASSIGN(const std::string_view arguments, text_of(said_of, "arguments"));
  const auto said = json::find_int(call, "index");
  if (!said) return malformed("the index of a call is no number");
  TG_ASSIGN(const std::string_view id, text_of(call, "id"));
  // Without an index an id begins a call, and everything else goes on with the last one.
  const std::int64_t index = said->value_or(calls_ == 0 || !id.empty() ? call_index_ + 1 : call_index_);
  ToolCallDelta piece;
  if (calls_ == 0 || index != call_index_) {
    if (index != call_index_ + 1) return malformed("calls are out of order");
    if (name.empty() || name.size() > kNameBytesMax) return malformed("a call begins without the name of a function");
    if (calls_ == limits_.calls_max) {
      return fail(Code::kInternal, "upstream_oversize", fmt::format("the engine makes more than {} calls", limits_.calls_max));
    }
    call_index_ = index;
    ++calls_;
    piece.id = fmt::format("call_{:02}_{}", calls_ - 1, call_id_suffix_);
    TG_TRY(add_text(name, piece.name));
  }
  piece.index = calls_ - 1;
  TG_TRY(add_text(arguments, piece.arguments));
  append_calls(piece_->calls, {std::move(piece)});
  return {};
}

Status AnswerReader::read_finish(const json::object& choice) {
  TG_ASSIGN(const std::string_view finish, text_of(choice, "finish_reason"));
  if (finish.empty()) return {};
  if (finish == "stop" || finish == "eos" || finish == "eos_token" || finish == "stop_sequence") {
    finish_ = calls_ > 0 ? FinishReason::kToolCalls : FinishReason::kStop;
    // vLLM: the stop string; SGLang calls it so too. A number is a token.
    for (const std::string_view key : {"stop_reason", "matched_stop"}) {
      const json::value* why = choice.if_contains(key);
      if (why == nullptr || !why->is_string() || calls_ > 0) continue;
      stop_text_ = words_of(std::string_view(why->get_string().data(), why->get_string().size()));
    }
  } else if (finish == "length" || finish == "max_tokens") {
    finish_ = FinishReason::kLength;
  } else if (finish == "tool_calls" || finish == "function_call") {
    finish_ = calls_ > 0 ? FinishReason::kToolCalls : FinishReason::kStop;
  } else if (finish == "content_filter") {
    return fail(Code::kInternal, "upstream_filtered", "the engine behind this model held its answer back");
  } else {
    return gave_up(finish);
  }
  return {};
}

Status AnswerReader::add_text(std::string_view text, std::string& to) {
  if (text.size() > limits_.text_bytes_max - text_bytes_) {
    return fail(Code::kInternal, "upstream_oversize",
                fmt::format("the engine's answer is longer than {} MiB", limits_.text_bytes_max >> 20));
  }
  text_bytes_ += text.size();
  to += text;
  return {};
}

}  // namespace tidegate::worker::external
