#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/net/http_server.h"
#include "base/rpc/stream_writer.h"
#include "gateway/core/rate_status.h"
#include "gateway/dispatch/answer_sink.h"
#include "tidegate/v1/inference.pb.h"

namespace tidegate::gateway {

using ChatWriter = rpc::StreamWriter<v1::ChatEvent>;

/// Beside a refusal's status: when it pays to come back (`retry-after-ms`, `x-should-retry`), as over HTTP.
rpc::Metadata refusal_metadata(const Refusal& refusal);

/// The gRPC way of answering: events in order, then the status. What HTTP says in headers is initial metadata:
/// x-request-id, x-tidegate-price-band, x-tidegate-variant, x-ratelimit-*.
///
/// A tap sees the answer as it sees one over HTTP: the metadata as its head, the events behind their lengths as its
/// body, and an answer that fails after its first event with that failure, as HTTP's streams with their error frame.
class GrpcSink final : public AnswerSink {
 public:
  /// The writer and the tap (null: nobody looks) outlive the sink.
  GrpcSink(ChatWriter& writer, RequestId request, std::string model, AnswerTap* tap = nullptr)
      : writer_(writer), request_(request), model_(std::move(model)), tap_(tap) {}

  void on_limits(const RateStatus& limits) override { limits_ = limits; }
  void on_admitted(std::string_view price_band) override { band_ = price_band; }
  void on_dispatched(const WorkerFacts& worker) override { worker_ = worker; }
  void on_accepted(const TokenUsage& usage) override;
  awaitable<Status> deliver(std::string reasoning, std::string content) override;
  /// HTTP/2 pings keep the connection awake.
  awaitable<Status> keep_alive() override;
  awaitable<Status> finish(AnswerEnd end) override;
  awaitable<Status> refuse(Refusal refusal) override;

 private:
  rpc::Metadata head() const;
  void begin();
  void record(const v1::ChatEvent& event);
  /// A client that does not read, or is gone, gets no more events: one left out would be an answer with a hole.
  Status send(v1::ChatEvent event);
  Status put(v1::ChatEvent event);
  bool hides_leaving() const { return tap_ != nullptr && tap_->outlives_client(); }

  ChatWriter& writer_;
  const RequestId request_;
  const std::string model_;
  AnswerTap* const tap_;
  WorkerFacts worker_;
  RateStatus limits_;
  std::string band_;
  std::string buffer_;
  bool is_begun_ = false;      ///< the initial metadata has left
  bool is_announced_ = false;  ///< so has `accepted`
  bool is_cut_ = false;        ///< an event could not be sent
};

}  // namespace tidegate::gateway
