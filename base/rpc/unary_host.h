#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/net/asio.h"
#include "base/rpc/auth_gate.h"
#include "base/rpc/status_map.h"
#include "base/rpc/work_pool.h"

namespace tidegate::rpc {

/// What a handler may know about its call.
class ServerCall {
 public:
  ServerCall(grpc::CallbackServerContext& context, Deadline deadline) : context_(&context), deadline_(deadline) {}
  /// The caller's, capped by the host: a call always has one.
  Deadline deadline() const { return deadline_; }
  bool is_cancelled() const { return context_->IsCancelled(); }
  grpc::CallbackServerContext& context() const { return *context_; }

 private:
  grpc::CallbackServerContext* context_;
  Deadline deadline_;
};

/// The caller's deadline, at most `cap` from now.
Deadline deadline_of(const grpc::CallbackServerContext& context, Duration cap);

/// Serves the unary methods of one service: token first, then the handler on a thread where it may block, or as a
/// coroutine on an executor. Thread-safe. Must outlive the server.
///
///   grpc::ServerUnaryReactor* TopUp(grpc::CallbackServerContext* context, const TopUpRequest* request, Wallet* out) {
///     return host_.serve(context, out, [this, request](const rpc::ServerCall& call) { return top_up(*request, call); });
///   }
///
/// The request stays valid until the handler returned. A full queue answers resource_exhausted/server_busy, a deadline
/// that passed in the queue deadline_exceeded/expired_in_queue without running the handler.
class UnaryHost {
 public:
  /// No call runs longer than this, whatever its caller says.
  static constexpr Duration kDeadlineMax = std::chrono::seconds(60);

  UnaryHost(WorkPool& pool, AuthGate gate) : pool_(pool), gate_(std::move(gate)) {}

  /// handler(const ServerCall&) -> Result<Response>, on a pool thread. It must not throw.
  template <typename Response, typename Handler>
  grpc::ServerUnaryReactor* serve(grpc::CallbackServerContext* context, Response* response, Handler handler) {
    auto* reactor = context->DefaultReactor();
    if (const Status admitted = gate_.check(*context); !admitted) return refuse(*context, reactor, admitted.error());
    const ServerCall call(*context, deadline_of(*context, kDeadlineMax));
    auto job = [context, reactor, response, call, handler = std::move(handler)]() mutable {
      if (const Status waited = still_wanted(call); !waited) {
        refuse(*context, reactor, waited.error());
        return;
      }
      finish(*context, reactor, response, handler(call));
    };
    if (!pool_.try_submit(std::move(job))) refuse(*context, reactor, busy());
    return reactor;
  }

  /// handler(ServerCall) -> awaitable<Result<Response>>, on `executor`, which must outlive the server.
  template <typename Response, typename Handler>
  grpc::ServerUnaryReactor* serve_on(const Executor& executor, grpc::CallbackServerContext* context, Response* response,
                                     Handler handler) {
    auto* reactor = context->DefaultReactor();
    if (const Status admitted = gate_.check(*context); !admitted) return refuse(*context, reactor, admitted.error());
    const ServerCall call(*context, deadline_of(*context, kDeadlineMax));
    asio::co_spawn(executor, run_coroutine<Response>(call, reactor, response, std::move(handler)), asio::detached);
    return reactor;
  }

  const AuthGate& gate() const { return gate_; }

 private:
  template <typename Response, typename Handler>
  static awaitable<void> run_coroutine(ServerCall call, grpc::ServerUnaryReactor* reactor, Response* response,
                                       Handler handler) {
    auto work = handler(call);
    Result<Response> result = co_await std::move(work);
    finish(call.context(), reactor, response, std::move(result));
  }
  template <typename Response>
  static void finish(grpc::CallbackServerContext& context, grpc::ServerUnaryReactor* reactor, Response* response,
                     Result<Response> result) {
    if (!result) {
      refuse(context, reactor, result.error());
      return;
    }
    *response = *std::move(result);
    reactor->Finish(grpc::Status::OK);
  }
  static grpc::ServerUnaryReactor* refuse(grpc::CallbackServerContext& context, grpc::ServerUnaryReactor* reactor,
                                          const Error& error);
  static Status still_wanted(const ServerCall& call);
  static Error busy();

  WorkPool& pool_;
  AuthGate gate_;
};

}  // namespace tidegate::rpc
