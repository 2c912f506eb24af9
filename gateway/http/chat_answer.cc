#include "gateway/http/chat_answer.h"

#include "gateway/http/json_text.h"
#include "gateway/http/keep_alive.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kIdPrefix = "chatcmpl-";

}  // namespace

void ChatDialect::open(std::string& out, const AnswerHead& head) {
  if (frame_.is_open()) return;
  frame_.open(head, kIdPrefix, "chat.completion.chunk");
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

void ChatDialect::append_keep_alive(std::string& out, const AnswerHead& head) { append_keep_alive_comment(out, head); }

void ChatDialect::append_end(std::string& out, const AnswerHead&, const AnswerEnd& end) {
  out += prefix_;
  out += R"(},"logprobs":null,"finish_reason":)";
  append_json_text(out, end.finish_reason);
  out += "}]";
  out += frame_.close();
  frame_.append_end(out, end);
}

void ChatDialect::append_cut(std::string& out, const AnswerHead&, const ApiError& error) {
  append_openai_cut(out, error);
}

std::string ChatDialect::body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                              const AnswerEnd& end) {
  std::string out;
  out.reserve(1'024 + reasoning.size() + content.size());
  out += '{';
  append_openai_identity(out, head, kIdPrefix, "chat.completion");
  out += R"(,"variant":)";
  append_json_text(out, head.variant);
  out += R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)";
  append_json_text(out, content);
  if (!reasoning.empty()) {
    out += R"(,"reasoning_content":)";
    append_json_text(out, reasoning);
  }
  out += R"(,"refusal":null},"logprobs":null,"finish_reason":)";
  append_json_text(out, end.finish_reason);
  out += "}],";
  append_openai_bill(out, end);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
