#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <utility>

#include "base/core/deadline.h"
#include "base/net/asio.h"
#include "base/rpc/channel.h"
#include "base/rpc/client_reads.h"
#include "base/rpc/read_next.h"

namespace tidegate::rpc {

/// The client's end of a server stream; made by Client::read_stream. One consumer. Movable; destroying it
/// cancels the call, also in the middle of one: the reactor lives on until gRPC is done, and the channel
/// waits for it.
template <typename Response>
class StreamReader {
 public:
  using Item = typename ReadSide<Response>::Item;

  StreamReader(StreamReader&&) noexcept = default;
  StreamReader& operator=(StreamReader&& other) noexcept {
    if (reactor_) reactor_->cancel();
    reactor_ = std::move(other.reactor_);
    return *this;
  }
  ~StreamReader() {
    if (reactor_) reactor_->cancel();
  }

  /// The next message; nullopt when the server ended the stream with OK; its error otherwise, again and
  /// again. deadline_exceeded/read_timeout leaves the stream as it was. gRPC fetches the next message only
  /// after this one was taken.
  awaitable<Item> read(Deadline deadline = Deadline::never()) { return read_next<Response>(reactor_, deadline); }
  Item read_blocking(Deadline deadline) { return read_next_blocking<Response>(reactor_, deadline); }
  /// Any thread. A waiting read() returns cancelled.
  void cancel() { reactor_->cancel(); }

  // For Client.
  static StreamReader prepare(Channel& channel, Deadline deadline) {
    return StreamReader(std::make_shared<Reactor>(channel, deadline));
  }
  grpc::ClientContext* context() { return reactor_->context(); }
  grpc::ClientReadReactor<Response>* reactor() { return reactor_.get(); }
  void start() { reactor_->start(reactor_); }

 private:
  class Reactor final : public ClientReads<grpc::ClientReadReactor<Response>, Response> {
   public:
    using ClientReads<grpc::ClientReadReactor<Response>, Response>::ClientReads;
  };

  explicit StreamReader(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;  // shared with gRPC and with a waiting read()
};

}  // namespace tidegate::rpc
