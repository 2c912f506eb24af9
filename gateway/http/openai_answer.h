#pragma once

#include <string>
#include <string_view>

#include "base/core/ids.h"
#include "gateway/core/answer_end.h"
#include "gateway/core/api_error.h"
#include "gateway/http/answer_head.h"

/// What answers of chat completions (chat_answer.h) and of completions (completion_answer.h) have in common.
namespace tidegate::gateway {

/// {"error":{...}}, OpenAI's shape.
std::string openai_error_body(const ApiError& error, const RequestId& request);
/// An error frame. It is what tells a client that a stream was cut: without it openai-node believes it complete.
void append_openai_cut(std::string& out, const ApiError& error);

/// "fp_" and the first twelve digits of the digest: changes exactly when the weights do. "" for an unknown
/// digest and for what is none.
std::string system_fingerprint(std::string_view weights_digest);

/// "id" (`id_prefix` and the request's id), "object", "created", "model" and "system_fingerprint", without braces.
void append_openai_identity(std::string& out, const AnswerHead& head, std::string_view id_prefix,
                            std::string_view object);

/// "service_tier":"...", with a comma behind it: the tier that really serves. Nothing when the client named none.
void append_openai_tier(std::string& out, const AnswerHead& head);

/// "usage":{"prompt_tokens":...,"cost":...,"cost_details":{...}} and the receipt, without braces around.
void append_openai_bill(std::string& out, const AnswerEnd& end);

/// What every chunk of one stream repeats, built once: no formatting per token.
class OpenAiFrame {
 public:
  explicit OpenAiFrame(bool include_usage) : include_usage_(include_usage) {}
  bool is_open() const { return !start_.empty(); }
  void open(const AnswerHead& head, std::string_view id_prefix, std::string_view object);

  /// data: {"id":...,"system_fingerprint":"..."
  const std::string& start() const { return start_; }
  /// ,"variant":"..."
  const std::string& variant() const { return variant_; }
  /// From behind the choices to the end of the event.
  std::string_view close() const { return include_usage_ ? ",\"usage\":null}\n\n" : "}\n\n"; }

  /// Behind the chunk with the finish reason: the usage, then [DONE]. Unasked only a comment with the receipt: an
  /// empty-choices chunk nobody asked for breaks clients, a comment is skipped by every reader of server-sent events.
  void append_end(std::string& out, const AnswerEnd& end) const;

 private:
  const bool include_usage_;
  std::string start_;
  std::string variant_;
};

}  // namespace tidegate::gateway
