#pragma once

#include <string>
#include <string_view>

#include "gateway/core/api_error.h"
#include "gateway/core/usage.h"
#include "gateway/dispatch/answer_sink.h"
#include "gateway/http/answer_head.h"

namespace tidegate::gateway {

using OpenAiHead = AnswerHead;

/// "fp_" and the first twelve digits of the digest: changes exactly when the weights do. "" for an unknown
/// digest.
std::string system_fingerprint(std::string_view weights_digest);

/// The usage object, with the cost: {"prompt_tokens":...,"cost":...,"cost_details":{...}}.
void append_openai_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement);

/// The whole answer of a request that does not stream.
std::string openai_completion(const OpenAiHead& head, std::string_view reasoning, std::string_view content,
                              std::string_view finish_reason, const TokenUsage& usage, const Settlement& settlement);

/// Renders the events of one stream by appending to a caller's buffer around a prefix built once.
/// Order: role, reasoning*, content*, finish, usage (if asked), done.
class OpenAiChunks {
 public:
  OpenAiChunks(const OpenAiHead& head, bool include_usage);

  /// delta {"role":"assistant","content":""}: openai-node's helper refuses a stream without it. Names the
  /// variant.
  void append_role(std::string& out) const;
  void append_reasoning(std::string& out, std::string_view text) const;
  void append_content(std::string& out, std::string_view text) const;
  void append_finish(std::string& out, std::string_view finish_reason) const;
  /// Without include_usage only a comment with the receipt: an empty-choices chunk nobody asked for breaks
  /// clients, a comment is skipped by every reader of server-sent events.
  void append_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement) const;

 private:
  void append_delta(std::string& out, std::string_view key, std::string_view text) const;

  std::string head_;    ///< data: {"id":...,"system_fingerprint":"..."
  std::string prefix_;  ///< head_ and ,"choices":[{"index":0,"delta":{
  std::string suffix_;  ///< },"logprobs":null,"finish_reason":null}]...}\n\n
  std::string variant_;
  bool include_usage_;
};

/// An error frame. It is what tells a client that a stream was cut: without it openai-node believes it
/// complete.
void append_openai_error(std::string& out, const ApiError& error);

}  // namespace tidegate::gateway
