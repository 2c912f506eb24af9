#include "gateway/http/completion_answer.h"

#include "base/core/json_text.h"
#include "gateway/http/keep_alive.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kCompletionIdPrefix = "cmpl-";
constexpr std::string_view kObject = "text_completion";

/// {"text":...,"index":0,"logprobs":null,"finish_reason":...}
void append_choice(std::string& out, std::string_view text, std::string_view finish_reason) {
  out += R"({"text":)";
  append_json_text(out, text);
  out += R"(,"index":0,"logprobs":null,"finish_reason":)";
  if (finish_reason.empty()) {
    out += "null";
  } else {
    append_json_text(out, finish_reason);
  }
  out += '}';
}

}  // namespace

void CompletionDialect::append_chunk(std::string& out, std::string_view text, std::string_view finish_reason) const {
  out += frame_.start();
  if (!finish_reason.empty()) out += frame_.variant();
  out += R"(,"choices":[)";
  append_choice(out, text, finish_reason);
  out += ']';
  out += frame_.close();
}

void CompletionDialect::append_text(std::string& out, const AnswerHead& head, std::string_view,
                                    std::string_view content) {
  if (!frame_.is_open()) {
    frame_.open(head, kCompletionIdPrefix, kObject);
    if (!echo_.empty()) append_chunk(out, echo_, {});
  }
  if (!content.empty()) append_chunk(out, content, {});
}

void CompletionDialect::append_keep_alive(std::string& out, const AnswerHead& head) { append_keep_alive_comment(out, head); }

void CompletionDialect::append_end(std::string& out, const AnswerHead&, const AnswerEnd& end) {
  append_chunk(out, {}, end.finish_reason);
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
  append_choice(out, text, end.finish_reason);
  out += "],";
  append_openai_bill(out, end);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
