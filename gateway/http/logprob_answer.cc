#include "gateway/http/logprob_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/core/encoding.h"
#include "base/core/json_text.h"

namespace tidegate::gateway {
namespace {

/// JSON has no minus infinity; OpenAI's word for a token that cannot be.
constexpr double kLeast = -9'999;

void append_number(std::string& out, double logprob) {
  // Written so that NaN is the least, too.
  fmt::format_to(std::back_inserter(out), "{}", logprob >= kLeast ? std::min(logprob, 0.0) : kLeast);
}

/// As text in JSON; `mark` stands before bytes that are no text.
void append_token(std::string& out, std::string_view bytes, std::string_view mark) {
  if (is_valid_utf8(bytes)) return append_json_text(out, bytes);
  std::string spelled(mark);
  for (const char c : bytes) {
    fmt::format_to(std::back_inserter(spelled), "\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  append_json_text(out, spelled);
}

void append_bytes(std::string& out, std::string_view bytes) {
  out += '[';
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
  }
  out += ']';
}

/// {"token","logprob","bytes" without the closing brace
void append_one(std::string& out, std::string_view bytes, double logprob) {
  out += R"({"token":)";
  append_token(out, bytes, "");
  out += R"(,"logprob":)";
  append_number(out, logprob);
  out += R"(,"bytes":)";
  append_bytes(out, bytes);
}

/// Characters that begin in these bytes.
std::int64_t characters_in(std::string_view bytes) {
  return std::ranges::count_if(bytes, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

}  // namespace

void append_token_logprobs(std::string& out, std::span<const TokenLogprob> tokens) {
  bool is_first = true;
  for (const TokenLogprob& token : tokens) {
    if (!std::exchange(is_first, false)) out += ',';
    append_one(out, token.bytes, token.logprob);
    out += R"(,"top_logprobs":[)";
    for (std::size_t i = 0; i < token.top.size(); ++i) {
      if (i > 0) out += ',';
      append_one(out, token.top[i].bytes, token.top[i].logprob);
      out += '}';
    }
    out += "]}";
  }
}

void append_chat_logprobs(std::string& out, std::span<const TokenLogprob> tokens) {
  if (tokens.empty()) {
    out += "null";
    return;
  }
  // What is thought stands before what is said.
  const auto said = std::ranges::find(tokens, false, &TokenLogprob::in_reasoning);
  const auto thought = static_cast<std::size_t>(said - tokens.begin());
  out += R"({"content":)";
  if (thought == tokens.size()) {
    out += "null";
  } else {
    out += '[';
    append_token_logprobs(out, tokens.subspan(thought));
    out += ']';
  }
  if (thought > 0) {
    out += R"(,"reasoning_content":[)";
    append_token_logprobs(out, tokens.first(thought));
    out += ']';
  }
  out += R"(,"refusal":null})";
}

void CompletionLogprobs::append(std::string& out, std::span<const TokenLogprob> tokens) {
  if (tokens.empty()) {
    out += "null";
    return;
  }
  constexpr std::string_view kMark = "bytes:";
  std::string texts;
  std::string numbers;
  std::string tops;
  std::string offsets;
  for (const TokenLogprob& token : tokens) {
    if (!texts.empty()) {
      for (std::string* list : {&texts, &numbers, &tops, &offsets}) *list += ',';
    }
    append_token(texts, token.bytes, kMark);
    append_number(numbers, token.logprob);
    offsets += std::to_string(offset_);
    offset_ += characters_in(token.bytes);
    tops += '{';
    bool has_chosen = false;
    for (const TokenLogprob::Alternative& other : token.top) {
      if (!tops.ends_with('{')) tops += ',';
      append_token(tops, other.bytes, kMark);
      tops += ':';
      append_number(tops, other.logprob);
      has_chosen = has_chosen || other.bytes == token.bytes;
    }
    // The chosen one is among them, whatever its place.
    if (!has_chosen) {
      if (!tops.ends_with('{')) tops += ',';
      append_token(tops, token.bytes, kMark);
      tops += ':';
      append_number(tops, token.logprob);
    }
    tops += '}';
  }
  out += R"({"tokens":[)" + texts + R"(],"token_logprobs":[)" + numbers + R"(],"top_logprobs":[)" + tops +
         R"(],"text_offset":[)" + offsets + "]}";
}

}  // namespace tidegate::gateway
