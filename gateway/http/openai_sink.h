#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/net/http_server.h"
#include "gateway/dispatch/answer_sink.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {

/// Headers of every answer: x-request-id, openai-processing-ms.
HttpHeaders openai_headers(const RequestId& request, Duration since_received);
/// Status, body, Retry-After and x-should-retry of an error.
HttpResponse openai_error_response(const ApiError& error, HttpHeaders headers);

/// What both kinds of answer share.
class OpenAiSinkBase : public AnswerSink {
 public:
  OpenAiSinkBase(HttpExchange& exchange, const Clock& clock, OpenAiHead head)
      : exchange_(exchange), clock_(clock), head_(std::move(head)) {}
  void on_limits(const RateStatus& limits) override { limits_ = limits; }
  void on_admitted(std::string_view price_band) override { band_ = price_band; }
  void on_dispatched(const WorkerFacts& worker) override;
  void on_accepted(const TokenUsage&) override {}

 protected:
  HttpHeaders headers() const;
  awaitable<Status> respond_error(const ApiError& error);

  HttpExchange& exchange_;
  const Clock& clock_;
  OpenAiHead head_;
  std::string band_;
  RateStatus limits_;
};

/// Server-sent events. The status line leaves with the first event, so that an error before it is a real status.
class OpenAiStreamSink final : public OpenAiSinkBase {
 public:
  OpenAiStreamSink(HttpExchange& exchange, const Clock& clock, OpenAiHead head, bool include_usage)
      : OpenAiSinkBase(exchange, clock, std::move(head)), include_usage_(include_usage) {}
  awaitable<Status> deliver(std::string reasoning, std::string content) override;
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  void begin();
  void append_text(std::string_view reasoning, std::string_view content);

  bool include_usage_;
  bool begun_ = false;
  std::optional<OpenAiChunks> chunks_;  ///< made with the first text: the fingerprint is known then
  std::string buffer_;                  ///< kept between events: no allocation per token
};

/// One JSON body at the end.
class OpenAiBodySink final : public OpenAiSinkBase {
 public:
  using OpenAiSinkBase::OpenAiSinkBase;
  awaitable<Status> deliver(std::string reasoning, std::string content) override;
  /// Blank lines before the body would commit the status 200 and hide a later error: silence is better.
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  std::string reasoning_;
  std::string content_;
};

}  // namespace tidegate::gateway
