#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/clock.h"
#include "base/rpc/stream_writer.h"
#include "base/rpc/unary_reply.h"
#include "gateway/core/rate_status.h"
#include "gateway/core/service_tier.h"
#include "gateway/dispatch/answer_sink.h"
#include "tidegate/v1/inference.pb.h"

namespace tidegate::gateway {

using ChatWriter = rpc::StreamWriter<v1::ChatEvent>;
using EmbedReply = rpc::UnaryReply<v1::EmbedResponse>;

/// Beside a refusal's status: when it pays to come back (`retry-after-ms`, `x-should-retry`) and the wait for a worker
/// that was too long (`x-tidegate-queue-wait-ms`), as over HTTP.
rpc::Metadata refusal_metadata(const Refusal& refusal);

/// What an answer over gRPC says of its request.
struct GrpcHead {
  RequestId request;
  std::string traceparent;                   ///< of the answer
  std::string model;                         ///< as the client asked
  ServiceTier tier = ServiceTier::kDefault;  ///< granted
};

/// The gRPC way of answering, whatever the method. What HTTP says in headers is initial metadata: x-request-id,
/// traceparent, x-tidegate-price-band, x-tidegate-price-until, x-tidegate-queue-ms, x-tidegate-model,
/// x-tidegate-variant, x-tidegate-weights, x-ratelimit-*.
///
/// A tap sees the answer as it sees one over HTTP: the metadata as its head, the messages as its body.
class GrpcSink : public AnswerSink {
 public:
  /// The tap (null: nobody looks) outlives the sink.
  GrpcSink(GrpcHead head, AnswerTap* tap) : head_(std::move(head)), tap_(tap) {}

  void on_limits(const RateStatus& limits) override { limits_ = limits; }
  void on_admitted(std::string_view price_band) override { band_ = price_band; }
  void on_price_until(const std::optional<Wall>& until) override { price_until_ = until; }
  void on_waited(Duration in_queue) override { waited_ = waited_.value_or(Duration::zero()) + in_queue; }
  void on_dispatched(const WorkerFacts& worker) override { worker_ = worker; }
  /// HTTP/2 pings keep the connection awake.
  awaitable<Status> keep_alive() override;

 protected:
  rpc::Metadata metadata() const;
  void record_head(const rpc::Metadata& fields, bool is_stream);
  /// Of an answer that has not begun.
  awaitable<void> record_refusal(const Refusal& refusal, const rpc::Metadata& fields);
  bool hides_leaving() const { return tap_ != nullptr && tap_->outlives_client(); }

  const GrpcHead head_;
  AnswerTap* const tap_;
  WorkerFacts worker_;

 private:
  RateStatus limits_;
  std::string band_;
  std::optional<Wall> price_until_;
  std::optional<Duration> waited_;  ///< for workers, all of them together
};

/// Events in order, then the status. To a tap events stand behind their lengths, and an answer that fails after its
/// first event has that failure behind it, as HTTP's streams have their error frame.
class ChatSink final : public GrpcSink {
 public:
  /// The writer outlives the sink.
  ChatSink(ChatWriter& writer, GrpcHead head, AnswerTap* tap = nullptr)
      : GrpcSink(std::move(head), tap), writer_(writer) {}

  void on_accepted(const TokenUsage& usage) override;
  awaitable<Status> deliver(AnswerPart part) override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  void begin();
  void record(const v1::ChatEvent& event);
  /// A client that does not read, or is gone, gets no more events: one left out would be an answer with a hole.
  Status send(v1::ChatEvent event);
  Status put(v1::ChatEvent event);

  ChatWriter& writer_;
  std::string buffer_;
  bool is_begun_ = false;      ///< the initial metadata has left
  bool is_announced_ = false;  ///< so has `accepted`
  bool is_cut_ = false;        ///< an event could not be sent
};

/// All vectors in one message at the end.
class EmbedSink final : public GrpcSink {
 public:
  /// The reply outlives the sink.
  EmbedSink(EmbedReply& reply, GrpcHead head, AnswerTap* tap = nullptr)
      : GrpcSink(std::move(head), tap), reply_(reply) {}

  void on_accepted(const TokenUsage&) override {}
  awaitable<Status> deliver(AnswerPart part) override;
  bool can_deliver_now() const override { return true; }
  Delivery deliver_now(AnswerPart part) override;
  void restart() override { answers_.clear(); }
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  EmbedReply& reply_;
  CollectedAnswers answers_;
};

}  // namespace tidegate::gateway
