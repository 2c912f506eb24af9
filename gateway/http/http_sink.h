#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/net/http_server.h"
#include "gateway/core/trace_context.h"
#include "gateway/dispatch/answer_sink.h"
#include "gateway/http/answer_dialect.h"
#include "gateway/http/answer_head.h"
#include "gateway/http/dialect_shape.h"

namespace tidegate::gateway {

/// Where the request stands in its client's trace; two traceparents are none.
TraceContext trace_of(const HttpRequest& http, const RequestId& request);
/// Headers of every answer: x-request-id, the dialect's own name for it, traceparent, openai-processing-ms.
HttpHeaders answer_headers(const DialectShape& shape, const RequestId& request, const HttpRequest& http, Mono now);
/// Status, body, Retry-After (with retry-after-ms), x-should-retry and the queue's predicted wait of an error.
HttpResponse error_response(const DialectShape& shape, const ApiError& error, const RequestId& request,
                            HttpHeaders headers);

/// What both kinds of answer share. The exchange, the clock and the shape outlive the sink.
class HttpSink : public AnswerSink {
 public:
  HttpSink(HttpExchange& exchange, const Clock& clock, const DialectShape& shape, AnswerHead head,
           std::unique_ptr<AnswerDialect> dialect)
      : exchange_(exchange), clock_(clock), shape_(shape), head_(std::move(head)), dialect_(std::move(dialect)) {}
  void on_limits(const RateStatus& limits) override { limits_ = limits; }
  void on_admitted(std::string_view price_band) override { band_ = price_band; }
  void on_price_until(const std::optional<Wall>& until) override { price_until_ = until; }
  void on_waited(Duration in_queue) override { waited_ = waited_.value_or(Duration::zero()) + in_queue; }
  void on_dispatched(const WorkerFacts& worker) override;
  void on_accepted(const TokenUsage& usage) override { head_.accepted = usage; }
  void on_place(const std::optional<QueuePlace>& place) override { head_.place = place; }
  int status_of(const Refusal& refusal) const override { return shape_.wire_error(refusal).http_status; }

 protected:
  /// Of the answer or of its refusal: also what the limits on rates have left.
  HttpHeaders headers() const;
  awaitable<Status> respond_error(const ApiError& error);

  HttpExchange& exchange_;
  const Clock& clock_;
  const DialectShape& shape_;
  AnswerHead head_;
  std::unique_ptr<AnswerDialect> dialect_;
  std::string band_;
  std::optional<Wall> price_until_;
  std::optional<Duration> waited_;  ///< for workers, all of them together
  RateStatus limits_;  ///< as they were at admission or at the refusal
  bool begun_ = false;  ///< the status 200 has left
};

/// Server-sent events. The status line leaves with the first event, so that an error before it is a real status.
class HttpStreamSink final : public HttpSink {
 public:
  using HttpSink::HttpSink;
  awaitable<Status> deliver(AnswerPart part) override;
  bool can_deliver_now() const override { return exchange_.can_write_now(); }
  Delivery deliver_now(AnswerPart part) override;
  awaitable<Status> flush() override { return exchange_.write({}); }
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  /// Fixes status and headers, once.
  void begin_answer();
  /// The same, and empties the buffer for the next event.
  void begin();

  std::string buffer_;  ///< of an event that may have to wait
};

/// One JSON body at the end.
///
/// An answer that takes long gets blank lines before its body, so that middle boxes do not close a silent connection.
/// They commit the status 200, and clients take whatever comes with it for an answer. So they begin late
/// (`blank_lines_after` the request came), and only once a worker has read the prompt: until then an error is likelier
/// than an answer, and a real status with Retry-After is worth more than a warm connection. An error after them is the
/// error's JSON and then no end of the body, which every client reports as a broken answer.
class HttpBodySink final : public HttpSink {
 public:
  HttpBodySink(HttpExchange& exchange, const Clock& clock, const DialectShape& shape, AnswerHead head,
               std::unique_ptr<AnswerDialect> dialect, Duration blank_lines_after)
      : HttpSink(exchange, clock, shape, std::move(head), std::move(dialect)), blank_lines_after_(blank_lines_after) {}
  awaitable<Status> deliver(AnswerPart part) override;
  bool can_deliver_now() const override { return true; }
  Delivery deliver_now(AnswerPart part) override;
  void restart() override;
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  const Duration blank_lines_after_;
  CollectedAnswers answers_;
};

}  // namespace tidegate::gateway
