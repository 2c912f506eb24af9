#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/net/http_server.h"
#include "gateway/dispatch/answer_sink.h"
#include "gateway/http/answer_form.h"

namespace tidegate::gateway {

/// Headers of every answer: x-request-id, openai-processing-ms.
HttpHeaders openai_headers(const RequestId& request, Duration since_received);
/// Status, body, Retry-After and x-should-retry of an error.
HttpResponse openai_error_response(const ApiError& error, HttpHeaders headers);

/// What both kinds of answer share.
class OpenAiSinkBase : public AnswerSink {
 public:
  OpenAiSinkBase(HttpExchange& exchange, const Clock& clock, AnswerHead head, std::unique_ptr<AnswerForm> form)
      : exchange_(exchange), clock_(clock), head_(std::move(head)), form_(std::move(form)) {}
  void on_admitted(std::string_view price_band) override { band_ = price_band; }
  void on_dispatched(const WorkerFacts& worker) override;
  void on_accepted(const TokenUsage&) override {}

 protected:
  HttpHeaders headers() const;
  awaitable<Status> respond_error(const ApiError& error);

  HttpExchange& exchange_;
  const Clock& clock_;
  AnswerHead head_;
  std::unique_ptr<AnswerForm> form_;
  std::string band_;
  bool begun_ = false;  ///< the status 200 has left
};

/// Server-sent events. The status line leaves with the first event, so that an error before it is a real status.
class OpenAiStreamSink final : public OpenAiSinkBase {
 public:
  using OpenAiSinkBase::OpenAiSinkBase;
  awaitable<Status> deliver(std::string reasoning, std::string content) override;
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  void begin();
  void append_text(std::string_view reasoning, std::string_view content);

  bool is_started_ = false;  ///< the form's first event is written: with the first text, as the worker is known then
  std::string buffer_;       ///< kept between events: no allocation per token
};

/// One JSON body at the end.
///
/// An answer that takes long gets blank lines before its body, so that middle boxes do not close a silent connection.
/// They commit the status 200, and clients take whatever comes with it for an answer. So they begin late
/// (`blank_lines_after` the request came), and only once a worker runs the request: until then an error is likelier
/// than an answer, and a real status with Retry-After is worth more than a warm connection. An error after them is the
/// error's JSON and then no end of the body, which every client reports as a broken answer.
class OpenAiBodySink final : public OpenAiSinkBase {
 public:
  OpenAiBodySink(HttpExchange& exchange, const Clock& clock, AnswerHead head, std::unique_ptr<AnswerForm> form,
                 Duration blank_lines_after)
      : OpenAiSinkBase(exchange, clock, std::move(head), std::move(form)), blank_lines_after_(blank_lines_after) {}
  void on_accepted(const TokenUsage&) override { is_running_ = true; }
  awaitable<Status> deliver(std::string reasoning, std::string content) override;
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  const Duration blank_lines_after_;
  bool is_running_ = false;
  std::string reasoning_;
  std::string content_;
};

}  // namespace tidegate::gateway
