#include "gateway/http/openai_sink.h"

#include <utility>

#include "base/core/encoding.h"
#include "base/net/sse.h"
#include "gateway/http/rate_headers.h"

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
  append_rate_headers(headers, limits_);
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
  if (!chunks_) {
    chunks_.emplace(head_, include_usage_);
    chunks_->append_role(buffer_);
  }
  if (!reasoning.empty()) chunks_->append_reasoning(buffer_, reasoning);
  if (!content.empty()) chunks_->append_content(buffer_, content);
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
  chunks_->append_finish(buffer_, end.finish_reason);
  chunks_->append_usage(buffer_, end.usage, end.settlement);
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

awaitable<Status> OpenAiBodySink::keep_alive() { co_return Status(); }

awaitable<Status> OpenAiBodySink::finish(AnswerEnd end) {
  reasoning_ += end.reasoning;
  content_ += end.content;
  HttpResponse response(200);
  response.headers = headers();
  response.headers.emplace_back("x-tidegate-cost", end.settlement.amount.to_string());
  if (!end.settlement.receipt.empty()) {
    response.headers.emplace_back("x-tidegate-receipt", base64url_encode(end.settlement.receipt));
  }
  response.body = openai_completion(head_, reasoning_, content_, end.finish_reason, end.usage, end.settlement);
  co_return co_await exchange_.respond(std::move(response));
}

awaitable<Status> OpenAiBodySink::refuse(Refusal refusal) {
  const ApiError error = to_api_error(refusal);
  co_return co_await respond_error(error);
}

}  // namespace tidegate::gateway
