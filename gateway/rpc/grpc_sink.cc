#include "gateway/rpc/grpc_sink.h"

#include <cstdint>
#include <string>

#include "gateway/http/rate_headers.h"
#include "gateway/rpc/chat_codec.h"
#include "gateway/rpc/embed_codec.h"

namespace tidegate::gateway {
namespace {

/// Of stored answers: says how their bodies are read.
const std::string kContentType = "application/grpc";

}  // namespace

rpc::Metadata refusal_metadata(const Refusal& refusal) {
  const ApiError wire = to_api_error(refusal);
  rpc::Metadata fields;
  fields.emplace_back("x-should-retry", wire.should_retry ? "true" : "false");
  // Without an estimate there is only the whole seconds of HTTP's Retry-After.
  const std::int64_t ms = wire.retry_after_ms > 0 ? wire.retry_after_ms : std::int64_t{wire.retry_after_s} * 1'000;
  if (ms > 0) fields.emplace_back("retry-after-ms", std::to_string(ms));
  if (wire.queue_wait_ms) fields.emplace_back("x-tidegate-queue-wait-ms", std::to_string(*wire.queue_wait_ms));
  return fields;
}

rpc::Metadata GrpcSink::metadata() const {
  rpc::Metadata fields;
  fields.emplace_back("x-request-id", head_.request.to_string());
  if (!head_.traceparent.empty()) fields.emplace_back("traceparent", head_.traceparent);
  if (!band_.empty()) fields.emplace_back("x-tidegate-price-band", band_);
  if (price_until_) fields.emplace_back("x-tidegate-price-until", format_rfc3339(*price_until_));
  if (waited_) fields.emplace_back("x-tidegate-queue-ms", std::to_string(in_millis(*waited_)));
  if (!head_.model.empty()) fields.emplace_back("x-tidegate-model", head_.model);
  if (!worker_.variant.empty()) fields.emplace_back("x-tidegate-variant", worker_.variant);
  if (!worker_.weights_digest.empty()) fields.emplace_back("x-tidegate-weights", worker_.weights_digest);
  append_rate_headers(fields, limits_);
  return fields;
}

void GrpcSink::record_head(const rpc::Metadata& fields, bool is_stream) {
  if (tap_ != nullptr) tap_->on_head(200, kContentType, fields, is_stream);
}

awaitable<void> GrpcSink::record_refusal(const Refusal& refusal, const rpc::Metadata& fields) {
  if (tap_ == nullptr) co_return;
  tap_->on_head(to_api_error(refusal).http_status, kContentType, fields, /*is_stream=*/false);
  co_await tap_->on_end();
}

awaitable<Status> GrpcSink::keep_alive() { co_return Status(); }

void ChatSink::begin() {
  if (std::exchange(is_begun_, true)) return;
  const rpc::Metadata fields = metadata();
  record_head(fields, /*is_stream=*/true);
  writer_.add_initial(fields);
}

void ChatSink::record(const v1::ChatEvent& event) {
  if (tap_ == nullptr) return;
  buffer_.clear();
  append_event(buffer_, event);
  tap_->on_body(buffer_);
}

Status ChatSink::send(v1::ChatEvent event) {
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

Status ChatSink::put(v1::ChatEvent event) {
  begin();
  record(event);
  return send(std::move(event));
}

void ChatSink::on_accepted(const TokenUsage& usage) {
  // A failed event shows again at the next delivery. A retry does not announce itself twice.
  if (!std::exchange(is_announced_, true)) (void)put(encode_accepted(head_.request, head_.model, worker_.variant, usage));
}

awaitable<Status> ChatSink::deliver(AnswerPart part) { co_return put(encode_part(std::move(part))); }

awaitable<Status> ChatSink::finish(AnswerEnd end) {
  AnswerPart rest = end.take_part();
  // Of one answer the end is in `finished` alone, as it ever was; of several each has its own.
  if (end.finish_reasons.empty()) rest.finish_reason.clear();
  if (rest.has_text() || !rest.logprobs.empty() || !rest.finish_reason.empty()) {
    v1::ChatEvent text = encode_part(std::move(rest));
    if (Status sent = put(std::move(text)); !sent) co_return sent;
  }
  for (AnswerPart& other : end.others) {
    v1::ChatEvent event = encode_part(std::move(other));
    if (Status sent = put(std::move(event)); !sent) co_return sent;
  }
  v1::ChatEvent last = encode_finished(end, head_.tier);
  begin();
  record(last);
  // Kept before its last event leaves: whoever has the whole answer may ask for it again.
  if (tap_ != nullptr) co_await tap_->on_end();
  Status sent = send(std::move(last));
  if (!is_cut_) writer_.finish({});
  co_return sent;
}

awaitable<Status> ChatSink::refuse(Refusal refusal) {
  if (!is_begun_) {
    const rpc::Metadata fields = metadata();
    co_await record_refusal(refusal, fields);
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

awaitable<Status> EmbedSink::deliver(AnswerPart part) {
  answers_.add(std::move(part));
  co_return Status();
}

Delivery EmbedSink::deliver_now(AnswerPart part) {
  answers_.add(std::move(part));
  return Delivery::kDone;
}

awaitable<Status> EmbedSink::finish(AnswerEnd end) {
  const AnswerEnd whole = answers_.whole(std::move(end));
  v1::EmbedResponse response = encode_embedding(head_.request, head_.model, worker_.variant, whole, head_.tier);
  const rpc::Metadata fields = metadata();
  record_head(fields, /*is_stream=*/false);
  if (tap_ != nullptr) {
    tap_->on_body(response.SerializeAsString());
    // Kept before it leaves: whoever has the answer may ask for it again.
    co_await tap_->on_end();
  }
  reply_.add_initial(fields);
  Status sent = reply_.answer(std::move(response));
  if (hides_leaving()) co_return Status();
  co_return sent;
}

awaitable<Status> EmbedSink::refuse(Refusal refusal) {
  const rpc::Metadata fields = metadata();
  co_await record_refusal(refusal, fields);
  reply_.add_initial(fields);
  reply_.refuse(public_error(refusal), refusal_metadata(refusal));
  co_return Status();
}

}  // namespace tidegate::gateway
