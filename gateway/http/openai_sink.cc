#include "gateway/http/openai_sink.h"

#include <utility>

#include "base/core/encoding.h"
#include "base/net/sse.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {

HttpHeaders openai_headers(const RequestId& request, Duration since_received) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(since_received).count();
  HttpHeaders headers;
  headers.reserve(8);
  headers.emplace_back("x-request-id", request.to_string());
  headers.emplace_back("openai-processing-ms", std::to_string(millis));
  return headers;
}

HttpResponse openai_error_response(const ApiError& error, HttpHeaders headers) {
  HttpResponse response(error.http_status);
  append_error_json(response.body, error);
  response.headers = std::move(headers);
  response.headers.emplace_back("x-should-retry", error.should_retry ? "true" : "false");
  if (error.retry_after_s > 0) response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  return response;
}

void OpenAiSinkBase::on_dispatched(const WorkerFacts& worker) {
  head_.variant = worker.variant;
  head_.weights_digest = worker.weights_digest;
}

HttpHeaders OpenAiSinkBase::headers() const {
  HttpHeaders headers = openai_headers(head_.request, clock_.mono() - exchange_.request().received);
  if (!band_.empty()) headers.emplace_back("x-tidegate-price-band", band_);
  if (!head_.variant.empty()) headers.emplace_back("x-tidegate-variant", head_.variant);
  return headers;
}

awaitable<Status> OpenAiSinkBase::respond_error(const ApiError& error) {
  HttpResponse response = openai_error_response(error, headers());
  co_return co_await exchange_.respond(std::move(response));
}

void OpenAiStreamSink::begin() {
  if (std::exchange(begun_, true)) return;
  HttpHeaders with = headers();
  with.emplace_back("Cache-Control", "no-cache");
  with.emplace_back("X-Accel-Buffering", "no");
  exchange_.begin_stream(200, std::string(sse::kContentType), std::move(with));
}

void OpenAiStreamSink::append_text(std::string_view reasoning, std::string_view content) {
  if (!std::exchange(is_started_, true)) form_->append_start(buffer_, head_);
  form_->append_text(buffer_, reasoning, content);
}

awaitable<Status> OpenAiStreamSink::deliver(std::string reasoning, std::string content) {
  begin();
  buffer_.clear();
  append_text(reasoning, content);
  co_return co_await exchange_.write(buffer_);
}

awaitable<Status> OpenAiStreamSink::keep_alive() {
  begin();
  co_return co_await exchange_.write(sse::kKeepAlive);
}

awaitable<Status> OpenAiStreamSink::finish(AnswerEnd end) {
  begin();
  buffer_.clear();
  append_text(end.reasoning, end.content);
  form_->append_finish(buffer_, end.finish_reason);
  form_->append_usage(buffer_, end.usage, end.settlement);
  buffer_ += sse::kDone;
  co_return co_await exchange_.end_stream(buffer_);
}

awaitable<Status> OpenAiStreamSink::refuse(Refusal refusal) {
  const ApiError error = to_api_error(refusal);
  if (!begun_) co_return co_await respond_error(error);
  buffer_.clear();
  append_openai_error(buffer_, error);
  co_return co_await exchange_.end_stream(buffer_);
}

awaitable<Status> OpenAiBodySink::deliver(std::string reasoning, std::string content) {
  reasoning_ += reasoning;
  content_ += content;
  co_return Status();
}

awaitable<Status> OpenAiBodySink::keep_alive() {
  const Duration waited = clock_.mono() - exchange_.request().received;
  if (!is_running_ || waited < blank_lines_after_) co_return Status();
  if (!std::exchange(begun_, true)) {
    HttpHeaders with = headers();
    exchange_.begin_stream(200, "application/json", std::move(with));
  }
  co_return co_await exchange_.write("\n");
}

awaitable<Status> OpenAiBodySink::finish(AnswerEnd end) {
  end.reasoning = std::move(reasoning_) + end.reasoning;
  end.content = std::move(content_) + end.content;
  if (begun_) {
    const std::string body = form_->whole(head_, end);
    co_return co_await exchange_.end_stream(body);
  }
  HttpResponse response(200);
  response.headers = headers();
  response.headers.emplace_back("x-tidegate-cost", end.settlement.amount.to_string());
  if (!end.settlement.receipt.empty()) {
    response.headers.emplace_back("x-tidegate-receipt", base64url_encode(end.settlement.receipt));
  }
  response.body = form_->whole(head_, end);
  co_return co_await exchange_.respond(std::move(response));
}

awaitable<Status> OpenAiBodySink::refuse(Refusal refusal) {
  const ApiError error = to_api_error(refusal);
  if (!begun_) co_return co_await respond_error(error);
  std::string body;
  append_error_json(body, error);
  // No end_stream(): the server cuts a chunked answer without its end.
  co_return co_await exchange_.write(body);
}

}  // namespace tidegate::gateway
