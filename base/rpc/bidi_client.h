#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <mutex>
#include <utility>

#include "base/core/deadline.h"
#include "base/net/asio.h"
#include "base/rpc/channel.h"
#include "base/rpc/client_reads.h"
#include "base/rpc/read_next.h"
#include "base/rpc/write_queue.h"

namespace tidegate::rpc {

/// The client's end of a stream in both directions; made by Client::open_bidi. One consumer; write() and
/// cancel() from any thread. Movable; destroying it cancels the call, also in the middle of one: the reactor
/// lives on until gRPC is done, and the channel waits for it.
template <typename Request, typename Response>
class BidiClient {
 public:
  using Item = typename ReadSide<Response>::Item;

  BidiClient(BidiClient&&) noexcept = default;
  BidiClient& operator=(BidiClient&& other) noexcept {
    if (reactor_) reactor_->cancel();
    reactor_ = std::move(other.reactor_);
    return *this;
  }
  ~BidiClient() {
    if (reactor_) reactor_->cancel();
  }

  /// The next message; nullopt when the server ended the stream with OK; its error otherwise, again and
  /// again. deadline_exceeded/read_timeout leaves the stream as it was. gRPC fetches the next message only
  /// after this one was taken.
  awaitable<Item> read(Deadline deadline = Deadline::never()) { return read_next<Response>(reactor_, deadline); }
  Item read_blocking(Deadline deadline) { return read_next_blocking<Response>(reactor_, deadline); }

  /// Does not wait: the message goes out now, or behind those in the queue, or is merged into the last of
  /// them. OK promises no delivery. Fails: resource_exhausted/stream_queue_full, unavailable/stream_closed
  /// (read() says why).
  Status write(Request request) { return reactor_->write(std::move(request)); }
  /// No more writes; what is queued still goes out.
  void writes_done() { reactor_->writes_done(); }
  /// A waiting read() returns cancelled.
  void cancel() { reactor_->cancel(); }
  std::size_t queued() const { return reactor_->queued(); }

  // For Client.
  static BidiClient prepare(Channel& channel, Deadline deadline, StreamOptions<Request> options) {
    return BidiClient(std::make_shared<Reactor>(channel, deadline, std::move(options)));
  }
  grpc::ClientContext* context() { return reactor_->context(); }
  grpc::ClientBidiReactor<Request, Response>* reactor() { return reactor_.get(); }
  void start() { reactor_->start(reactor_); }

 private:
  class Reactor final : public ClientReads<grpc::ClientBidiReactor<Request, Response>, Response> {
    using Reads = ClientReads<grpc::ClientBidiReactor<Request, Response>, Response>;
    using Reads::is_held_;
    using Reads::mutex_;

   public:
    Reactor(Channel& channel, Deadline deadline, StreamOptions<Request> options)
        : Reads(channel, deadline), write_(std::move(options)) {}

    Status write(Request request) {
      const std::lock_guard lock(mutex_);
      if (!is_held_ || is_write_broken_ || is_half_closed_) {
        return fail(Code::kUnavailable, "stream_closed", "the stream takes no more messages");
      }
      switch (write_.push(std::move(request))) {
        case WriteQueue<Request>::Push::kStart:
          this->StartWrite(&write_.current());
          break;
        case WriteQueue<Request>::Push::kQueued:
        case WriteQueue<Request>::Push::kMerged:
          break;
        case WriteQueue<Request>::Push::kFull:
          return fail(Code::kResourceExhausted, "stream_queue_full", "the peer reads more slowly than we write");
      }
      return {};
    }
    void writes_done() {
      const std::lock_guard lock(mutex_);
      if (!is_held_ || std::exchange(is_half_closed_, true)) return;
      if (write_.is_idle()) this->StartWritesDone();
    }
    std::size_t queued() const {
      const std::lock_guard lock(mutex_);
      return write_.waiting();
    }

   private:
    void on_cancel() override { write_.clear(); }
    void on_end() override { is_write_broken_ = true; }
    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(mutex_);
      if (!ok) {
        is_write_broken_ = true;
        write_.clear();
      }
      if (write_.next()) {
        this->StartWrite(&write_.current());
      } else if (ok && is_half_closed_) {
        this->StartWritesDone();
      }
    }

    WriteQueue<Request> write_;
    bool is_half_closed_ = false;
    bool is_write_broken_ = false;
  };

  explicit BidiClient(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;  // shared with gRPC and with a waiting read()
};

}  // namespace tidegate::rpc
