#include "gateway/http/openai_answer.h"

#include <fmt/format.h>

#include <iterator>

#include "base/core/encoding.h"
#include "gateway/http/answer_cost.h"
#include "gateway/http/json_text.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kFingerprintDigits = 12;

void append_identity(std::string& out, const OpenAiHead& head, std::string_view object) {
  fmt::format_to(std::back_inserter(out), R"("id":"chatcmpl-{}","object":"{}","created":{},"model":)",
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

}  // namespace

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
  append_identity(out, head, "chat.completion");
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
  out += '}';
  return out;
}

OpenAiChunks::OpenAiChunks(const OpenAiHead& head, bool include_usage) : include_usage_(include_usage) {
  head_ = "data: {";
  append_identity(head_, head, "chat.completion.chunk");
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
  const std::string receipt = base64url_encode(settlement.receipt);
  if (!include_usage_) {
    if (!receipt.empty()) out += ": x-tidegate-receipt " + receipt + "\n\n";
    return;
  }
  out += head_;
  out += R"(,"variant":)";
  out += variant_;
  out += R"(,"choices":[],"usage":)";
  append_openai_usage(out, usage, settlement);
  if (!receipt.empty()) out += ",\"receipt\":\"" + receipt + '"';
  out += "}\n\n";
}

void append_openai_error(std::string& out, const ApiError& error) {
  out += "data: ";
  append_error_json(out, error);
  out += "\n\n";
}

}  // namespace tidegate::gateway
