#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/clock.h"
#include "base/net/http_server.h"
#include "base/rpc/stream_writer.h"
#include "gateway/core/rate_status.h"
#include "gateway/core/service_tier.h"
#include "gateway/dispatch/answer_sink.h"
#include "tidegate/v1/inference.pb.h"

namespace tidegate::gateway {

using ChatWriter = rpc::StreamWriter<v1::ChatEvent>;

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

/// The gRPC way of answering: events in order, then the status. What HTTP says in headers is initial metadata:
/// x-request-id, traceparent, x-tidegate-price-band, x-tidegate-price-until, x-tidegate-queue-ms, x-tidegate-model,
/// x-tidegate-variant, x-tidegate-weights, x-ratelimit-*.
///
/// A tap sees the answer as it sees one over HTTP: the metadata as its head, the events behind their lengths as its
/// body, and an answer that fails after its first event with that failure, as HTTP's streams with their error frame.
class GrpcSink final : public AnswerSink {
 public:
  /// The writer and the tap (null: nobody looks) outlive the sink.
  GrpcSink(ChatWriter& writer, GrpcHead head, AnswerTap* tap = nullptr)
      : writer_(writer), head_(std::move(head)), tap_(tap) {}

  void on_limits(const RateStatus& limits) override { limits_ = limits; }
  void on_admitted(std::string_view price_band) override { band_ = price_band; }
  void on_price_until(const std::optional<Wall>& until) override { price_until_ = until; }
  void on_waited(Duration in_queue) override { waited_ = waited_.value_or(Duration::zero()) + in_queue; }
  void on_dispatched(const WorkerFacts& worker) override { worker_ = worker; }
  void on_accepted(const TokenUsage& usage) override;
  awaitable<Status> deliver(AnswerPart part) override;
  /// HTTP/2 pings keep the connection awake.
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  rpc::Metadata metadata() const;
  void begin();
  void record(const v1::ChatEvent& event);
  /// A client that does not read, or is gone, gets no more events: one left out would be an answer with a hole.
  Status send(v1::ChatEvent event);
  Status put(v1::ChatEvent event);
  bool hides_leaving() const { return tap_ != nullptr && tap_->outlives_client(); }

  ChatWriter& writer_;
  const GrpcHead head_;
  AnswerTap* const tap_;
  WorkerFacts worker_;
  RateStatus limits_;
  std::string band_;
  std::optional<Wall> price_until_;
  std::optional<Duration> waited_;  ///< for workers, all of them together
  std::string buffer_;
  bool is_begun_ = false;      ///< the initial metadata has left
  bool is_announced_ = false;  ///< so has `accepted`
  bool is_cut_ = false;        ///< an event could not be sent
};

}  // namespace tidegate::gateway
