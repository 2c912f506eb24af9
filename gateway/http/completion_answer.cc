#include "gateway/http/completion_answer.h"

#include "base/core/json_text.h"
#include "gateway/http/keep_alive.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kCompletionIdPrefix = "cmpl-";
constexpr std::string_view kObject = "text_completion";

/// {"text":...,"index":0,"logprobs":null,"finish_reason":...}
void append_choice(std::string& out, std::int32_t choice, std::string_view text, CompletionLogprobs& form,
                   std::span<const TokenLogprob> logprobs, std::string_view finish_reason) {
  out += R"({"text":)";
  append_json_text(out, text);
  out += R"(,"index":)";
  out += std::to_string(choice);
  out += R"(,"logprobs":)";
  form.append(out, logprobs);
  out += R"(,"finish_reason":)";
  if (finish_reason.empty()) {
    out += "null";
  } else {
    append_json_text(out, finish_reason);
  }
  out += '}';
}

}  // namespace

void CompletionDialect::append_chunk(std::string& out, std::int32_t choice, std::string_view text,
                                     std::span<const TokenLogprob> logprobs, std::string_view finish_reason) {
  out += frame_.start();
  if (!finish_reason.empty()) out += frame_.variant();
  out += R"(,"choices":[)";
  append_choice(out, choice, text, logprobs_[static_cast<std::size_t>(choice)], logprobs, finish_reason);
  out += ']';
  out += frame_.close();
}

void CompletionDialect::open(std::string& out, const AnswerHead& head, std::int32_t choice) {
  if (!frame_.is_open()) frame_.open(head, kCompletionIdPrefix, kObject);
  const auto place = static_cast<std::size_t>(choice);
  if (opened_[place]) return;
  opened_.set(place);
  if (!echo_.empty()) append_chunk(out, choice, echo_, {}, {});
}

void CompletionDialect::append_text(std::string& out, const AnswerHead& head, std::string_view,
                                    std::string_view content) {
  open(out, head, 0);
  if (!content.empty()) append_chunk(out, 0, content, {}, {});
}

void CompletionDialect::append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) {
  open(out, head, part.choice);
  if (!part.content.empty() || !part.logprobs.empty()) append_chunk(out, part.choice, part.content, part.logprobs, {});
  if (!part.finish_reason.empty()) append_chunk(out, part.choice, {}, {}, part.finish_reason);
}

void CompletionDialect::append_keep_alive(std::string& out, const AnswerHead& head) { append_keep_alive_comment(out, head); }

void CompletionDialect::append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) {
  for (const AnswerPart& other : end.others) append_part(out, head, other);
  append_chunk(out, end.choice, {}, {}, end.finish_reason);
  frame_.append_end(out, end);
}

void CompletionDialect::append_cut(std::string& out, const AnswerHead&, const ApiError& error) {
  append_openai_cut(out, error);
}

std::string CompletionDialect::body(const AnswerHead& head, std::string_view, std::string_view content,
                                    const AnswerEnd& end) {
  std::string text = echo_;
  text += content;
  std::string out;
  out.reserve(1'024 + text.size());
  out += '{';
  append_openai_identity(out, head, kCompletionIdPrefix, kObject);
  out += R"(,"variant":)";
  append_json_text(out, head.variant);
  out += R"(,"choices":[)";
  append_choice(out, 0, text, logprobs_.front(), end.logprobs, end.finish_reason);
  for (const AnswerPart& other : end.others) {
    out += ',';
    append_choice(out, other.choice, echo_ + other.content, logprobs_[static_cast<std::size_t>(other.choice)],
                  other.logprobs, other.finish_reason);
  }
  out += "],";
  append_openai_bill(out, end);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
