#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/core/deadline.h"
#include "base/net/asio.h"
#include "base/rpc/auth_gate.h"
#include "base/rpc/read_next.h"
#include "base/rpc/status_map.h"
#include "base/rpc/write_queue.h"

namespace tidegate::rpc {

/// The server's end of a stream in both directions. One consumer, which either awaits read() or gives callbacks to
/// consume(); write() and finish() from any thread. Movable; destroying it unfinished ends the stream as aborted.
///
///   grpc::ServerBidiReactor<In, Out>* Session(grpc::CallbackServerContext* context) override {
///     auto stream = rpc::BidiServer<In, Out>::open(context, gate_);
///     auto* reactor = stream.reactor();
///     asio::co_spawn(executor_, serve(std::move(stream)), asio::detached);
///     return reactor;
///   }
///
/// A call without the gate's token is refused inside open(); the stream's read() then reports that error.
template <typename Request, typename Response>
class BidiServer {
 public:
  using Item = typename ReadSide<Request>::Item;

  static BidiServer open(grpc::CallbackServerContext* context, const AuthGate& gate, StreamOptions<Response> options = {}) {
    auto reactor = std::make_shared<Reactor>(*context, std::move(options));
    reactor->start(reactor, gate.check(*context));
    return BidiServer(std::move(reactor));
  }
  BidiServer(BidiServer&&) noexcept = default;
  BidiServer& operator=(BidiServer&& other) noexcept {
    if (reactor_) reactor_->drop();
    reactor_ = std::move(other.reactor_);
    return *this;
  }
  ~BidiServer() {
    if (reactor_) reactor_->drop();
  }

  /// For gRPC.
  grpc::ServerBidiReactor<Request, Response>* reactor() { return reactor_.get(); }

  /// The next message; nullopt when the client will send no more; cancelled when it is gone. gRPC fetches the next
  /// message only after this one was taken.
  awaitable<Item> read(Deadline deadline = Deadline::never()) { return read_next<Request>(reactor_, deadline); }

  /// Instead of read(): every message runs on_message on `executor`, one after another, then on_end once with OK (the
  /// client will send no more) or cancelled. on_end of a stream that was not finished finishes it.
  void consume(const Executor& executor, std::function<void(Request)> on_message, std::function<void(Status)> on_end) {
    auto pump = std::make_shared<Pump>(reactor_, executor, std::move(on_message), std::move(on_end));
    pump->next(pump);
  }

  /// Does not wait: the message goes out now, or behind those in the queue, or is merged into the last of them.
  /// OK promises no delivery. Fails: resource_exhausted/stream_queue_full, unavailable/stream_closed.
  Status write(Response response) { return reactor_->write(std::move(response)); }
  /// Ends the stream once the queue is written. Only the first call counts.
  void finish(const Status& status) { reactor_->finish(status); }
  /// False once the client is gone or finish() was called.
  bool is_open() const { return reactor_->is_open(); }
  std::size_t queued() const { return reactor_->queued(); }

 private:
  class Reactor final : public grpc::ServerBidiReactor<Request, Response> {
   public:
    using Waiter = typename ReadSide<Request>::Waiter;

    Reactor(grpc::CallbackServerContext& context, StreamOptions<Response> options)
        : context_(context), write_(std::move(options)) {}

    void start(std::shared_ptr<Reactor> self, const Status& admitted) {
      const std::lock_guard lock(mutex_);
      self_ = std::move(self);
      if (!admitted) {
        read_.end(fail(admitted.error()));
        end_with(admitted);
        return;
      }
      this->StartRead(&read_.buffer());
    }
    Status write(Response response) {
      const std::lock_guard lock(mutex_);
      if (final_) return fail(Code::kUnavailable, "stream_closed", "the stream takes no more messages");
      switch (write_.push(std::move(response))) {
        case WriteQueue<Response>::Push::kStart:
          this->StartWrite(&write_.current());
          break;
        case WriteQueue<Response>::Push::kQueued:
        case WriteQueue<Response>::Push::kMerged:
          break;
        case WriteQueue<Response>::Push::kFull:
          return fail(Code::kResourceExhausted, "stream_queue_full", "the peer reads more slowly than we write");
      }
      return {};
    }
    void finish(const Status& status) {
      const std::lock_guard lock(mutex_);
      end_with(status);
    }
    void drop() { finish(fail(Code::kAborted, "stream_dropped", "the server gave the stream up")); }
    bool is_open() const {
      const std::lock_guard lock(mutex_);
      return !final_;
    }
    std::size_t queued() const {
      const std::lock_guard lock(mutex_);
      return write_.waiting();
    }
    std::optional<Item> try_read() {
      const std::lock_guard lock(mutex_);
      return take();
    }
    std::uint64_t new_ticket() {
      const std::lock_guard lock(mutex_);
      return read_.new_ticket();
    }
    void read_async(Waiter waiter) {
      std::unique_lock lock(mutex_);
      auto item = take();
      if (!item) return read_.wait(std::move(waiter));
      lock.unlock();
      waiter(*std::move(item));
    }
    void abandon(std::uint64_t ticket, Error error) {
      std::unique_lock lock(mutex_);
      auto waiter = read_.abandon(ticket);
      lock.unlock();
      if (waiter) waiter(fail(std::move(error)));
    }

   private:
    std::optional<Item> take() {
      const bool had_message = read_.has_message();
      auto item = read_.take();
      if (had_message && !is_finished_) this->StartRead(&read_.buffer());
      return item;
    }
    /// gRPC allows Finish once, and not while a write is in flight.
    void end_with(const Status& status) {
      if (!final_) final_ = status;
      if (is_finished_ || !write_.is_idle()) return;
      is_finished_ = true;
      this->Finish(to_grpc(context_, *final_));
    }
    void OnReadDone(bool ok) override {
      std::unique_lock lock(mutex_);
      Item item(std::nullopt);
      Waiter waiter;
      if (ok) {
        waiter = read_.arrived();
        if (!waiter) return;
        item = std::move(read_.buffer());
        if (!is_finished_) this->StartRead(&read_.buffer());
      } else {
        if (context_.IsCancelled()) item = fail(gone());
        waiter = read_.end(item);
      }
      lock.unlock();
      if (waiter) waiter(std::move(item));
    }
    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(mutex_);
      if (!ok) write_.clear();
      if (write_.next()) {
        this->StartWrite(&write_.current());
      } else if (final_) {
        end_with(*final_);
      }
    }
    void OnCancel() override {
      std::unique_lock lock(mutex_);
      read_.drop_message();
      write_.clear();
      auto waiter = read_.end(fail(gone()));
      end_with(fail(gone()));
      lock.unlock();
      if (waiter) waiter(fail(gone()));
    }
    void OnDone() override {
      std::unique_lock lock(mutex_);
      auto self = std::move(self_);
      if (!final_) final_ = fail(gone());
      is_finished_ = true;
      auto waiter = read_.end(fail(gone()));
      lock.unlock();
      if (waiter) waiter(fail(gone()));
    }
    static Error gone() { return {Code::kCancelled, "client_gone", "the client ended the call"}; }

    grpc::CallbackServerContext& context_;  // valid until OnDone
    mutable std::mutex mutex_;
    ReadSide<Request> read_;
    WriteQueue<Response> write_;
    std::optional<Status> final_;  // set: no more writes are taken
    bool is_finished_ = false;     // Finish was called: start nothing more
    std::shared_ptr<Reactor> self_;  // gRPC's own reference, until OnDone
  };

  struct Pump {
    Pump(std::shared_ptr<Reactor> reactor_in, Executor executor_in, std::function<void(Request)> on_message_in,
         std::function<void(Status)> on_end_in)
        : reactor(std::move(reactor_in)),
          executor(std::move(executor_in)),
          on_message(std::move(on_message_in)),
          on_end(std::move(on_end_in)) {}

    void next(std::shared_ptr<Pump> self) {
      reactor->read_async([this, self = std::move(self)](Item item) mutable {
        asio::post(executor, [self = std::move(self), item = std::move(item)]() mutable { run(std::move(self), std::move(item)); });
      });
    }
    static void run(std::shared_ptr<Pump> self, Item item) {
      if (item && *item) {
        self->on_message(**std::move(item));
        self->next(self);
        return;
      }
      const Status end = item ? Status() : Status(fail(item.error()));
      self->on_end(end);
      self->reactor->finish(end);
    }

    std::shared_ptr<Reactor> reactor;
    Executor executor;
    std::function<void(Request)> on_message;
    std::function<void(Status)> on_end;
  };

  explicit BidiServer(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;  // shared with gRPC and with a waiting read()
};

}  // namespace tidegate::rpc
