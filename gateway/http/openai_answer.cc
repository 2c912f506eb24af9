#include "gateway/http/openai_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/core/encoding.h"
#include "base/core/json_text.h"
#include "base/net/sse.h"
#include "gateway/http/answer_cost.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kFingerprintDigits = 12;

}  // namespace

std::string openai_error_body(const ApiError& error, const RequestId&) {
  std::string out;
  append_error_json(out, error);
  return out;
}

void append_openai_cut(std::string& out, const ApiError& error) {
  out += "data: ";
  append_error_json(out, error);
  out += "\n\n";
}

std::string system_fingerprint(std::string_view weights_digest) {
  const auto colon = weights_digest.find(':');
  const auto hex = colon == std::string_view::npos ? weights_digest : weights_digest.substr(colon + 1);
  // A worker names its digest: one that is no digest must not be cut within a character.
  const auto first = hex.substr(0, kFingerprintDigits);
  const auto is_digit = [](char c) { return hex_value(c) >= 0; };
  const auto digits = first.substr(0, static_cast<std::size_t>(std::ranges::find_if_not(first, is_digit) - first.begin()));
  return digits.empty() ? std::string() : "fp_" + std::string(digits);
}

void append_openai_tier(std::string& out, const AnswerHead& head) {
  if (head.service_tier.empty()) return;
  out += R"("service_tier":)";
  append_json_text(out, head.service_tier);
  out += ',';
}

void append_openai_identity(std::string& out, const AnswerHead& head, std::string_view id_prefix,
                            std::string_view object) {
  fmt::format_to(std::back_inserter(out), R"("id":"{}{}","object":"{}","created":{},"model":)", id_prefix,
                 head.request.to_string(), object, unix_micros(head.created) / 1'000'000);
  append_json_text(out, head.model);
  out += ',';
  append_openai_tier(out, head);
  out += R"("system_fingerprint":)";
  const std::string fingerprint = system_fingerprint(head.weights_digest);
  if (fingerprint.empty()) {
    out += "null";
  } else {
    append_json_text(out, fingerprint);
  }
}

void append_openai_bill(std::string& out, const AnswerEnd& end) {
  const TokenUsage& usage = end.usage;
  fmt::format_to(std::back_inserter(out),
                 R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                 R"("prompt_tokens_details":{{"cached_tokens":{}}},)"
                 R"("completion_tokens_details":{{"reasoning_tokens":{}}},)"
                 R"("prompt_cache_hit_tokens":{},"prompt_cache_miss_tokens":{},)",
                 usage.prompt, usage.completion, usage.total(), usage.cached, usage.reasoning, usage.cached,
                 usage.prompt - usage.cached);
  append_cost(out, end.settlement);
  out += '}';
  append_receipt_member(out, end.settlement);
}

void OpenAiFrame::open(const AnswerHead& head, std::string_view id_prefix, std::string_view object) {
  start_ = "data: {";
  append_openai_identity(start_, head, id_prefix, object);
  variant_ = R"(,"variant":)";
  append_json_text(variant_, head.variant);
}

void OpenAiFrame::append_end(std::string& out, const AnswerEnd& end) const {
  if (include_usage_) {
    out += start_;
    out += variant_;
    out += R"(,"choices":[],)";
    append_openai_bill(out, end);
    out += "}\n\n";
  } else if (!end.settlement.receipt.empty()) {
    out += ": x-tidegate-receipt " + base64url_encode(end.settlement.receipt) + "\n\n";
  }
  out += sse::kDone;
}

}  // namespace tidegate::gateway
