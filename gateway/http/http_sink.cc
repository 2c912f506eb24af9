#include "gateway/http/http_sink.h"

#include <string>

#include "base/core/encoding.h"
#include "base/net/sse.h"
#include "gateway/http/rate_headers.h"

namespace tidegate::gateway {
namespace {

/// A buffer that once held a large event is not kept.
constexpr std::size_t kKeptEventBytesMax = 256 * 1024;

}  // namespace

TraceContext trace_of(const HttpRequest& http, const RequestId& request) {
  constexpr std::string_view kTraceparent = "traceparent";
  return join_trace(http.head.count(kTraceparent) == 1 ? http.header(kTraceparent) : std::string_view(), request);
}

HttpHeaders answer_headers(const DialectShape& shape, const RequestId& request, const HttpRequest& http, Mono now) {
  HttpHeaders headers;
  headers.reserve(24);  // of an answer with everything some twenty
  headers.emplace_back("x-request-id", request.to_string());
  if (!shape.request_id_header.empty()) headers.emplace_back(shape.request_id_header, request.to_string());
  headers.emplace_back("traceparent", trace_of(http, request).traceparent);
  headers.emplace_back("openai-processing-ms", std::to_string(in_millis(now - http.received)));
  return headers;
}

HttpResponse error_response(const DialectShape& shape, const ApiError& error, const RequestId& request,
                            HttpHeaders headers) {
  HttpResponse response(error.http_status, shape.error_body(error, request));
  response.headers = std::move(headers);
  response.headers.emplace_back("x-should-retry", error.should_retry ? "true" : "false");
  if (error.retry_after_s > 0) response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  if (error.retry_after_ms > 0) response.headers.emplace_back("retry-after-ms", std::to_string(error.retry_after_ms));
  if (error.queue_wait_ms) {
    response.headers.emplace_back("x-tidegate-queue-wait-ms", std::to_string(*error.queue_wait_ms));
  }
  return response;
}

void HttpSink::on_dispatched(const WorkerFacts& worker) {
  head_.variant = worker.variant;
  head_.weights_digest = worker.weights_digest;
}

HttpHeaders HttpSink::headers() const {
  HttpHeaders headers = answer_headers(shape_, head_.request, exchange_.request(), clock_.mono());
  if (!band_.empty()) headers.emplace_back("x-tidegate-price-band", band_);
  if (price_until_) headers.emplace_back("x-tidegate-price-until", format_rfc3339(*price_until_));
  if (waited_) headers.emplace_back("x-tidegate-queue-ms", std::to_string(in_millis(*waited_)));
  if (!head_.variant.empty()) headers.emplace_back("x-tidegate-variant", head_.variant);
  if (!head_.weights_digest.empty()) headers.emplace_back("x-tidegate-weights", head_.weights_digest);
  append_rate_headers(headers, limits_);
  return headers;
}

awaitable<Status> HttpSink::respond_error(const ApiError& error) {
  HttpResponse response = error_response(shape_, error, head_.request, headers());
  co_return co_await exchange_.respond(std::move(response));
}

void HttpStreamSink::begin() {
  buffer_.clear();
  begin_answer();
}

void HttpStreamSink::begin_answer() {
  if (std::exchange(begun_, true)) return;
  HttpHeaders with = headers();
  with.emplace_back("Cache-Control", "no-cache");
  with.emplace_back("X-Accel-Buffering", "no");
  exchange_.begin_stream(200, std::string(sse::kContentType), std::move(with));
}

awaitable<Status> HttpStreamSink::deliver(AnswerPart part) {
  begin();
  dialect_->append_part(buffer_, head_, part);
  co_return co_await exchange_.write(buffer_);
}

Delivery HttpStreamSink::deliver_now(AnswerPart part) {
  // Of the thread, and so in the cache: the stream's own buffer has left it since the last token, and nothing waits here.
  thread_local std::string event;
  event.clear();
  if (event.capacity() > kKeptEventBytesMax) event.shrink_to_fit();
  begin_answer();
  dialect_->append_part(event, head_, part);
  switch (exchange_.write_now(event)) {
    case HttpExchange::Written::kAll: return Delivery::kDone;
    case HttpExchange::Written::kPart: return Delivery::kHeldUp;
    case HttpExchange::Written::kFailed: return Delivery::kFailed;
  }
  return Delivery::kFailed;
}

awaitable<Status> HttpStreamSink::keep_alive() {
  begin();
  dialect_->append_keep_alive(buffer_, head_);
  co_return co_await exchange_.write(buffer_);
}

awaitable<Status> HttpStreamSink::finish(AnswerEnd end) {
  begin();
  AnswerPart last = end.take_part();
  last.finish_reason.clear();  // append_end() says it
  dialect_->append_part(buffer_, head_, last);
  dialect_->append_end(buffer_, head_, end);
  co_return co_await exchange_.end_stream(buffer_);
}

awaitable<Status> HttpStreamSink::refuse(Refusal refusal) {
  const ApiError error = shape_.wire_error(refusal);
  if (!begun_) co_return co_await respond_error(error);
  buffer_.clear();
  dialect_->append_cut(buffer_, head_, error);
  co_return co_await exchange_.end_stream(buffer_);
}

awaitable<Status> HttpBodySink::deliver(AnswerPart part) {
  answers_.add(std::move(part));
  co_return Status();
}

Delivery HttpBodySink::deliver_now(AnswerPart part) {
  answers_.add(std::move(part));
  return Delivery::kDone;
}

void HttpBodySink::restart() {
  answers_.clear();
  head_.accepted = {};
}

awaitable<Status> HttpBodySink::keep_alive() {
  const Duration waited = clock_.mono() - exchange_.request().received;
  const bool is_due = head_.accepted.prompt > 0 && waited >= blank_lines_after_;
  if (!begun_ && !is_due) co_return Status();
  if (!std::exchange(begun_, true)) {
    HttpHeaders with = headers();
    exchange_.begin_stream(200, "application/json", std::move(with));
  }
  co_return co_await exchange_.write("\n");
}

awaitable<Status> HttpBodySink::finish(AnswerEnd end) {
  end = answers_.whole(std::move(end));
  const std::string reasoning = std::exchange(end.reasoning, {});
  const std::string content = std::exchange(end.content, {});
  std::string body = dialect_->body(head_, reasoning, content, end);
  if (begun_) co_return co_await exchange_.end_stream(body);
  HttpResponse response(200, std::move(body));
  response.headers = headers();
  response.headers.emplace_back("x-tidegate-cost", end.settlement.amount.to_string());
  if (!end.settlement.receipt.empty()) {
    response.headers.emplace_back("x-tidegate-receipt", base64url_encode(end.settlement.receipt));
  }
  co_return co_await exchange_.respond(std::move(response));
}

awaitable<Status> HttpBodySink::refuse(Refusal refusal) {
  const ApiError error = shape_.wire_error(refusal);
  if (!begun_) co_return co_await respond_error(error);
  const std::string body = shape_.error_body(error, head_.request);
  // No end_stream(): the server cuts a chunked answer without its end.
  co_return co_await exchange_.write(body);
}

}  // namespace tidegate::gateway
