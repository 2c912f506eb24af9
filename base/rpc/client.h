#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/core/deadline.h"
#include "base/net/suspend.h"
#include "base/rpc/bidi_client.h"
#include "base/rpc/channel.h"
#include "base/rpc/status_map.h"
#include "base/rpc/stream_reader.h"

namespace tidegate::rpc {

/// A generated method of the callback API, e.g. &Accounts::Stub::async::OpenEpoch.
template <typename Async, typename Request, typename Response>
using UnaryMethod = void (Async::*)(grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>);
template <typename Async, typename Request, typename Response>
using ReadMethod = void (Async::*)(grpc::ClientContext*, const Request*, grpc::ClientReadReactor<Response>*);
template <typename Async, typename Request, typename Response>
using BidiMethod = void (Async::*)(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*);

/// One service on one channel. Thread-safe. Must outlive the coroutines inside call().
///
///   using Method = class Accounts::Stub::async;   // the generated callback methods
///   rpc::Client<Accounts> accounts(channel);
///   auto epoch = co_await accounts.call(&Method::OpenEpoch, request, deadline);
///
/// Errors are the server's own (code, reason, message, field), or gRPC's: unavailable/rpc_unavailable (no connection;
/// the request may or may not have run), deadline_exceeded/rpc_deadline_exceeded, cancelled/rpc_cancelled.
template <typename Service>
class Client {
 public:
  explicit Client(std::shared_ptr<Channel> channel)
      : channel_(std::move(channel)), stub_(Service::NewStub(channel_->grpc_channel())) {}

  Channel& channel() { return *channel_; }

  /// Resumes on the caller's executor. Asio's cancellation cancels the call and then returns cancelled.
  template <typename Async, typename Request, typename Response>
  awaitable<Result<Response>> call(UnaryMethod<Async, Request, Response> method, Request request, Deadline deadline) {
    auto flight = std::make_shared<Flight<Request, Response>>(*channel_, std::move(request), deadline);
    auto start = [this, flight, method](Resume<Result<Response>> resume) {
      launch(method, flight, std::move(resume));
    };
    auto cancel = [flight] { flight->cancel(); };
    auto waiting = suspend<Result<Response>>(std::move(start), std::move(cancel));
    co_return co_await std::move(waiting);
  }

  /// call() with fields of its own beside it: the credentials of whoever it is made for. Values are printable ASCII:
  /// gRPC ends the process over others.
  template <typename Async, typename Request, typename Response>
  awaitable<Result<Response>> call_with(UnaryMethod<Async, Request, Response> method, Request request, Deadline deadline,
                                        Metadata metadata) {
    auto flight = std::make_shared<Flight<Request, Response>>(*channel_, std::move(request), deadline);
    for (const auto& [name, value] : metadata) flight->context->AddMetadata(name, value);
    auto start = [this, flight, method](Resume<Result<Response>> resume) {
      launch(method, flight, std::move(resume));
    };
    auto cancel = [flight] { flight->cancel(); };
    auto waiting = suspend<Result<Response>>(std::move(start), std::move(cancel));
    co_return co_await std::move(waiting);
  }

  /// For the command line and for tests. Not on a gRPC or Asio thread.
  template <typename Async, typename Request, typename Response>
  Result<Response> call_blocking(UnaryMethod<Async, Request, Response> method, Request request, Deadline deadline) {
    auto flight = std::make_shared<Flight<Request, Response>>(*channel_, std::move(request), deadline);
    std::mutex mutex;
    std::condition_variable done;
    std::optional<Result<Response>> result;
    launch(method, flight, [&](Result<Response> value) {
      const std::lock_guard lock(mutex);
      result = std::move(value);
      done.notify_one();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return result.has_value(); });
    return *std::move(result);
  }

  /// Server streaming. The deadline covers the whole stream; Deadline::never() for one that lives as long as the
  /// process: keepalive notices a dead peer.
  template <typename Async, typename Request, typename Response>
  StreamReader<Response> read_stream(ReadMethod<Async, Request, Response> method, Request request, Deadline deadline) {
    auto* async = stub_->async();
    auto reader = StreamReader<Response>::prepare(*channel_, deadline);
    // gRPC serialises the request inside this call; it need not live on.
    (async->*method)(reader.context(), &request, reader.reactor());
    reader.start();
    return reader;
  }

  template <typename Async, typename Request, typename Response>
  BidiClient<Request, Response> open_bidi(BidiMethod<Async, Request, Response> method, Deadline deadline,
                                          StreamOptions<Request> options = {}) {
    auto* async = stub_->async();
    auto stream = BidiClient<Request, Response>::prepare(*channel_, deadline, std::move(options));
    (async->*method)(stream.context(), stream.reactor());
    stream.start();
    return stream;
  }

 private:
  template <typename Request, typename Response>
  struct Flight final : Cancellable {
    Flight(Channel& channel_in, Request request_in, Deadline deadline) : channel(channel_in), request(std::move(request_in)) {
      channel.prepare(context.emplace(), deadline);
    }
    void cancel() override {
      const std::lock_guard lock(mutex);
      if (context) context->TryCancel();
    }
    Result<Response> land(const grpc::Status& status) {
      const std::lock_guard lock(mutex);
      Result<Response> result(std::move(response));
      if (!status.ok()) result = fail(from_grpc(status, *context));
      // Before remove(): the context owns a part of gRPC's channel, whose last owner joins the thread we are on.
      context.reset();
      return result;
    }
    Channel& channel;
    std::mutex mutex;
    std::optional<grpc::ClientContext> context;  // until land()
    Request request;
    Response response;
  };

  template <typename Method, typename Request, typename Response>
  void launch(Method method, const std::shared_ptr<Flight<Request, Response>>& flight,
              std::type_identity_t<Resume<Result<Response>>> done) {
    flight->channel.calls().add(*flight);
    // std::function wants a copyable target.
    auto shared_done = std::make_shared<Resume<Result<Response>>>(std::move(done));
    auto finish = [flight, shared_done](const grpc::Status& status) {
      (*shared_done)(flight->land(status));
      flight->channel.calls().remove(*flight);
    };
    auto* async = stub_->async();
    (async->*method)(&*flight->context, &flight->request, &flight->response, std::move(finish));
  }

  std::shared_ptr<Channel> channel_;
  std::unique_ptr<typename Service::Stub> stub_;
};

}  // namespace tidegate::rpc
