#pragma once

#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "gateway/core/plan.h"
#include "gateway/core/stored_answer.h"
#include "gateway/dispatch/answer_sink.h"
#include "gateway/dispatch/flow_inbox.h"
#include "gateway/http/idempotency_desk.h"
#include "gateway/ports.h"
#include "gateway/rpc/grpc_sink.h"
#include "tidegate/v1/inference.grpc.pb.h"

namespace tidegate::gateway {

struct ServingLane;

/// A call of any method, as its metadata says. On the lane, once it was opened.
class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  /// For metrics, logs and bills: a literal.
  virtual std::string_view surface() const = 0;
  /// What is asked for, moved out of the message.
  virtual Result<Plan> take_plan() = 0;
  /// Ends a call that was not answered.
  virtual void refuse(const rpc::Metadata& initial, const Refusal& refusal) = 0;

  const ServingLane* lane = nullptr;
  RequestId request;
  std::string token;
  KeyUse use;
  std::string traceparent;  ///< as the caller sent it; "" = none
  Mono received;
  Duration budget{};  ///< the call's own deadline
};

/// A call that is paid for, and so may be repeated with an Idempotency-Key.
class PaidCall : public GrpcCall {
 public:
  /// All that makes it this request and not another one: the method and its message. Before take_plan().
  virtual std::string content() const = 0;
  /// Answers through this call, which outlives it, and shows the answer to `tap`.
  virtual std::unique_ptr<AnswerSink> make_sink(GrpcHead head) = 0;
  /// Gives an earlier request's answer. Fails: the client is gone.
  virtual Status replay(StoredAnswer answer) = 0;

  /// The client is gone if `is_gone`, and nobody else waits for the answer.
  void tell_gone() {
    const bool is_wanted = tap != nullptr && tap->outlives_client();
    if (is_gone && inbox != nullptr && !is_wanted) inbox->on_client_gone();
  }

  std::optional<std::string> idempotency_key;  ///< "" when it was sent more than once
  FlowInbox* inbox = nullptr;                  ///< while the driver lives
  AnswerTap* tap = nullptr;                    ///< while the answer is kept
  bool is_gone = false;
};

class ChatCall final : public PaidCall {
 public:
  explicit ChatCall(v1::ChatRequest message) : message_(std::move(message)) {}
  /// For gRPC. Before all else. `on_done`: as a StreamWriter's.
  grpc::ServerWriteReactor<v1::ChatEvent>* open(grpc::CallbackServerContext* context, std::function<void()> on_done);

  std::string_view surface() const override { return "grpc.chat"; }
  std::string content() const override;
  Result<Plan> take_plan() override;
  std::unique_ptr<AnswerSink> make_sink(GrpcHead head) override;
  Status replay(StoredAnswer answer) override;
  void refuse(const rpc::Metadata& initial, const Refusal& refusal) override;

 private:
  v1::ChatRequest message_;
  std::optional<ChatWriter> writer_;
};

class EmbedCall final : public PaidCall {
 public:
  explicit EmbedCall(v1::EmbedRequest message) : message_(std::move(message)) {}
  /// For gRPC. Before all else. `on_done`: as a UnaryReply's.
  grpc::ServerUnaryReactor* open(grpc::CallbackServerContext* context, v1::EmbedResponse* response,
                                 std::function<void()> on_done);

  std::string_view surface() const override { return "grpc.embeddings"; }
  std::string content() const override;
  Result<Plan> take_plan() override;
  std::unique_ptr<AnswerSink> make_sink(GrpcHead head) override;
  Status replay(StoredAnswer answer) override;
  void refuse(const rpc::Metadata& initial, const Refusal& refusal) override;

 private:
  v1::EmbedRequest message_;
  std::optional<EmbedReply> reply_;
};

class CountCall final : public GrpcCall {
 public:
  explicit CountCall(v1::ChatRequest message) : message_(std::move(message)) {}
  /// For gRPC. Before all else.
  grpc::ServerUnaryReactor* open(grpc::CallbackServerContext* context, v1::CountTokensResponse* response);
  void answer(const rpc::Metadata& initial, std::int64_t tokens);

  std::string_view surface() const override { return "grpc.count_tokens"; }
  Result<Plan> take_plan() override;
  void refuse(const rpc::Metadata& initial, const Refusal& refusal) override;

 private:
  v1::ChatRequest message_;
  std::optional<rpc::UnaryReply<v1::CountTokensResponse>> reply_;
};

/// A call with an Idempotency-Key, which outlives it.
class KeyedCall final : public KeyedExchange {
 public:
  explicit KeyedCall(PaidCall& call) : call_(call), content_(call.content()) {}
  std::string_view key() const override { return *call_.idempotency_key; }
  std::string content() const override { return content_; }
  void set_tap(AnswerTap* tap) override { call_.tap = tap; }
  awaitable<Status> replay(StoredAnswer answer) override { co_return call_.replay(std::move(answer)); }

 private:
  PaidCall& call_;
  const std::string content_;
};

}  // namespace tidegate::gateway
