#include "gateway/rpc/grpc_sink.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "gateway/http/rate_headers.h"
#include "gateway/rpc/chat_codec.h"

namespace tidegate::gateway {
namespace {

/// Of stored answers: says how their bodies are read.
const std::string kContentType = "application/grpc";

}  // namespace

rpc::Metadata refusal_metadata(const Refusal& refusal) {
  const ApiError wire = to_api_error(refusal);
  rpc::Metadata fields;
  fields.emplace_back("x-should-retry", wire.should_retry ? "true" : "false");
  if (wire.retry_after_s == 0) return fields;
  std::int64_t ms = std::int64_t{wire.retry_after_s} * 1'000;
  if (refusal.retry_after) {
    const auto exact = std::chrono::ceil<std::chrono::milliseconds>(*refusal.retry_after).count();
    ms = std::clamp<std::int64_t>(exact, 1, ms);
  }
  fields.emplace_back("retry-after-ms", std::to_string(ms));
  return fields;
}

rpc::Metadata GrpcSink::head() const {
  rpc::Metadata fields;
  fields.emplace_back("x-request-id", request_.to_string());
  if (!band_.empty()) fields.emplace_back("x-tidegate-price-band", band_);
  if (!worker_.variant.empty()) fields.emplace_back("x-tidegate-variant", worker_.variant);
  append_rate_headers(fields, limits_);
  return fields;
}

void GrpcSink::begin() {
  if (std::exchange(is_begun_, true)) return;
  const rpc::Metadata fields = head();
  if (tap_ != nullptr) tap_->on_head(200, kContentType, fields, /*is_stream=*/true);
  writer_.add_initial(fields);
}

void GrpcSink::record(const v1::ChatEvent& event) {
  if (tap_ == nullptr) return;
  buffer_.clear();
  append_event(buffer_, event);
  tap_->on_body(buffer_);
}

Status GrpcSink::send(v1::ChatEvent event) {
  if (is_cut_) {
    if (hides_leaving()) return {};
    return fail(Code::kUnavailable, "stream_closed", "the stream takes no more messages");
  }
  Status pushed = writer_.push(std::move(event));
  if (pushed) return pushed;
  is_cut_ = true;
  writer_.finish(pushed);
  if (hides_leaving()) return {};
  return pushed;
}

Status GrpcSink::put(v1::ChatEvent event) {
  begin();
  record(event);
  return send(std::move(event));
}

void GrpcSink::on_accepted(const TokenUsage& usage) {
  // A failed event shows again at the next delivery. A retry does not announce itself twice.
  if (!std::exchange(is_announced_, true)) (void)put(encode_accepted(request_, model_, worker_, usage));
}

awaitable<Status> GrpcSink::deliver(std::string reasoning, std::string content) {
  co_return put(encode_delta(std::move(reasoning), std::move(content)));
}

awaitable<Status> GrpcSink::keep_alive() { co_return Status(); }

awaitable<Status> GrpcSink::finish(AnswerEnd end) {
  if (!end.reasoning.empty() || !end.content.empty()) {
    if (Status sent = put(encode_delta(std::move(end.reasoning), std::move(end.content))); !sent) co_return sent;
  }
  v1::ChatEvent last = encode_finished(end);
  begin();
  record(last);
  // Kept before its last event leaves: whoever has the whole answer may ask for it again.
  if (tap_ != nullptr) co_await tap_->on_end();
  Status sent = send(std::move(last));
  if (!is_cut_) writer_.finish({});
  co_return sent;
}

awaitable<Status> GrpcSink::refuse(Refusal refusal) {
  if (!is_begun_) {
    const rpc::Metadata fields = head();
    if (tap_ != nullptr) {
      tap_->on_head(to_api_error(refusal).http_status, kContentType, fields, /*is_stream=*/true);
      co_await tap_->on_end();
    }
    writer_.add_initial(fields);
  } else if (tap_ != nullptr) {
    buffer_.clear();
    append_failure(buffer_, public_error(refusal));
    tap_->on_body(buffer_);
    co_await tap_->on_end();
  }
  writer_.finish(fail(public_error(refusal)), refusal_metadata(refusal));
  co_return Status();
}

}  // namespace tidegate::gateway
