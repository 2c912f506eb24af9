#include "gateway/http/openai_answer.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>

#include "base/core/encoding.h"
#include "gateway/http/answer_cost.h"
#include "gateway/http/json_text.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kFingerprintDigits = 12;

constexpr std::string_view kIdPrefix = "chatcmpl-";

class ChatForm final : public AnswerForm {
 public:
  explicit ChatForm(bool include_usage) : include_usage_(include_usage) {}

  void append_start(std::string& out, const OpenAiHead& head) override {
    chunks_.emplace(head, include_usage_);
    chunks_->append_role(out);
  }
  void append_text(std::string& out, std::string_view reasoning, std::string_view content) const override {
    if (!reasoning.empty()) chunks_->append_reasoning(out, reasoning);
    if (!content.empty()) chunks_->append_content(out, content);
  }
  void append_finish(std::string& out, std::string_view finish_reason) const override {
    chunks_->append_finish(out, finish_reason);
  }
  void append_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement) const override {
    chunks_->append_usage(out, usage, settlement);
  }
  std::string whole(const OpenAiHead& head, const AnswerEnd& end) const override {
    return openai_completion(head, end.reasoning, end.content, end.finish_reason, end.usage, end.settlement);
  }

 private:
  const bool include_usage_;
  std::optional<OpenAiChunks> chunks_;  ///< from append_start on
};

}  // namespace

std::unique_ptr<AnswerForm> make_chat_form(bool include_usage) { return std::make_unique<ChatForm>(include_usage); }

void append_openai_identity(std::string& out, const OpenAiHead& head, std::string_view id_prefix,
                            std::string_view object) {
  fmt::format_to(std::back_inserter(out), R"("id":"{}{}","object":"{}","created":{},"model":)", id_prefix,
                 head.request.to_string(), object, unix_micros(head.created) / 1'000'000);
  append_json_text(out, head.model);
  out += R"(,"system_fingerprint":)";
  const std::string fingerprint = system_fingerprint(head.weights_digest);
  if (fingerprint.empty()) {
    out += "null";
  } else {
    append_json_text(out, fingerprint);
  }
}

std::string system_fingerprint(std::string_view weights_digest) {
  const auto colon = weights_digest.find(':');
  const auto hex = colon == std::string_view::npos ? weights_digest : weights_digest.substr(colon + 1);
  return hex.empty() ? std::string() : "fp_" + std::string(hex.substr(0, kFingerprintDigits));
}

void append_openai_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                 R"("prompt_tokens_details":{{"cached_tokens":{}}},"completion_tokens_details":{{"reasoning_tokens":{}}},)"
                 R"("prompt_cache_hit_tokens":{},"prompt_cache_miss_tokens":{},)",
                 usage.prompt, usage.completion, usage.total(), usage.cached, usage.reasoning, usage.cached,
                 usage.prompt - usage.cached);
  append_cost(out, settlement);
  out += '}';
}

std::string openai_completion(const OpenAiHead& head, std::string_view reasoning, std::string_view content,
                              std::string_view finish_reason, const TokenUsage& usage, const Settlement& settlement) {
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
  append_json_text(out, finish_reason);
  out += R"(}],"usage":)";
  append_openai_usage(out, usage, settlement);
  append_receipt_member(out, settlement);
  out += '}';
  return out;
}

OpenAiChunks::OpenAiChunks(const OpenAiHead& head, bool include_usage) : include_usage_(include_usage) {
  head_ = "data: {";
  append_openai_identity(head_, head, kIdPrefix, "chat.completion.chunk");
  prefix_ = head_ + R"(,"choices":[{"index":0,"delta":{)";
  suffix_ = R"(},"logprobs":null,"finish_reason":null}])";
  suffix_ += include_usage ? ",\"usage\":null}\n\n" : "}\n\n";
  append_json_text(variant_, head.variant);
}

void OpenAiChunks::append_role(std::string& out) const {
  out += head_;
  out += R"(,"variant":)";
  out += variant_;
  out += R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":"")";
  out += suffix_;
}

void OpenAiChunks::append_reasoning(std::string& out, std::string_view text) const {
  append_delta(out, R"("reasoning_content":)", text);
}

void OpenAiChunks::append_content(std::string& out, std::string_view text) const {
  append_delta(out, R"("content":)", text);
}

void OpenAiChunks::append_delta(std::string& out, std::string_view key, std::string_view text) const {
  out += prefix_;
  out += key;
  append_json_text(out, text);
  out += suffix_;
}

void OpenAiChunks::append_finish(std::string& out, std::string_view finish_reason) const {
  out += prefix_;
  out += R"(},"logprobs":null,"finish_reason":)";
  append_json_text(out, finish_reason);
  out += include_usage_ ? "}],\"usage\":null}\n\n" : "}]}\n\n";
}

void OpenAiChunks::append_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement) const {
  append_usage_event(out, head_, variant_, include_usage_, usage, settlement);
}

void append_usage_event(std::string& out, std::string_view head, std::string_view variant, bool include_usage,
                        const TokenUsage& usage, const Settlement& settlement) {
  if (!include_usage) {
    if (!settlement.receipt.empty()) out += ": x-tidegate-receipt " + base64url_encode(settlement.receipt) + "\n\n";
    return;
  }
  out += head;
  out += R"(,"variant":)";
  out += variant;
  out += R"(,"choices":[],"usage":)";
  append_openai_usage(out, usage, settlement);
  append_receipt_member(out, settlement);
  out += "}\n\n";
}

void append_receipt_member(std::string& out, const Settlement& settlement) {
  if (!settlement.receipt.empty()) out += ",\"receipt\":\"" + base64url_encode(settlement.receipt) + '"';
}

void append_openai_error(std::string& out, const ApiError& error) {
  out += "data: ";
  append_error_json(out, error);
  out += "\n\n";
}

}  // namespace tidegate::gateway
