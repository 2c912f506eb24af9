#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/rpc/auth_gate.h"
#include "base/rpc/status_map.h"
#include "base/rpc/write_queue.h"

namespace tidegate::rpc {

enum class WhenFull {
  kRefuse,  ///< push() fails and drops its message; the stream lives on
  kEnd,     ///< the stream ends with resource_exhausted/slow_reader: the client comes back for a fresh snapshot
};

template <typename Response>
struct WriterOptions {
  /// Messages behind the one in flight.
  std::size_t queue_max = 64;
  /// E.g. `last = next` where each message replaces the one before.
  Merge<Response> merge = {};
  WhenFull when_full = WhenFull::kRefuse;
  /// Once, on a gRPC thread, when the stream is over for whatever reason: copy, post, return.
  std::function<void()> on_done = {};
};

/// The server's end of a server stream. Thread-safe. Movable; destroying it unfinished ends the stream as aborted.
/// A call without the gate's token is refused inside open(); push() then fails.
///
///   auto writer = rpc::StreamWriter<Routes>::open(context, gate_, options);
///   auto* reactor = writer.reactor();   // what the service method returns
template <typename Response>
class StreamWriter {
 public:
  static StreamWriter open(grpc::CallbackServerContext* context, const AuthGate& gate, WriterOptions<Response> options = {}) {
    auto reactor = std::make_shared<Reactor>(*context, std::move(options));
    reactor->start(reactor, gate.check(*context));
    return StreamWriter(std::move(reactor));
  }
  StreamWriter(StreamWriter&&) noexcept = default;
  StreamWriter& operator=(StreamWriter&& other) noexcept {
    if (reactor_) reactor_->drop();
    reactor_ = std::move(other.reactor_);
    return *this;
  }
  ~StreamWriter() {
    if (reactor_) reactor_->drop();
  }

  /// For gRPC.
  grpc::ServerWriteReactor<Response>* reactor() { return reactor_.get(); }

  /// Does not wait. OK promises no delivery. Fails: resource_exhausted/stream_queue_full (kRefuse),
  /// resource_exhausted/slow_reader (kEnd), unavailable/stream_closed.
  Status push(Response response) { return reactor_->push(std::move(response)); }
  /// Fields that travel before the first message, or with the status when there is none. Nothing once something was
  /// sent. Texts are cut as metadata_text() says.
  void add_initial(const Metadata& fields) { reactor_->add_initial(fields); }
  /// Ends the stream once the queue is written, with fields beside the status. Only the first call counts.
  void finish(const Status& status, Metadata trailing = {}) { reactor_->finish(status, std::move(trailing)); }
  /// False once the client is gone or finish() was called.
  bool is_open() const { return reactor_->is_open(); }
  std::size_t queued() const { return reactor_->queued(); }

 private:
  class Reactor final : public grpc::ServerWriteReactor<Response> {
   public:
    Reactor(grpc::CallbackServerContext& context, WriterOptions<Response> options)
        : context_(context),
          when_full_(options.when_full),
          on_done_(std::move(options.on_done)),
          write_(StreamOptions<Response>{options.queue_max, std::move(options.merge)}) {}

    void start(std::shared_ptr<Reactor> self, const Status& admitted) {
      const std::lock_guard lock(mutex_);
      self_ = std::move(self);
      if (!admitted) end_with(admitted);
    }
    Status push(Response response) {
      const std::lock_guard lock(mutex_);
      if (final_) return fail(Code::kUnavailable, "stream_closed", "the stream takes no more messages");
      switch (write_.push(std::move(response))) {
        case WriteQueue<Response>::Push::kStart:
          has_begun_ = true;
          this->StartWrite(&write_.current());
          break;
        case WriteQueue<Response>::Push::kQueued:
        case WriteQueue<Response>::Push::kMerged:
          break;
        case WriteQueue<Response>::Push::kFull:
          return full();
      }
      return {};
    }
    void add_initial(const Metadata& fields) {
      const std::lock_guard lock(mutex_);
      if (has_begun_ || is_finished_) return;
      for (const auto& [name, text] : fields) context_.AddInitialMetadata(name, metadata_text(text));
    }
    void finish(const Status& status, Metadata trailing = {}) {
      const std::lock_guard lock(mutex_);
      if (!final_) trailing_ = std::move(trailing);
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

   private:
    Status full() {
      if (when_full_ == WhenFull::kRefuse) {
        return fail(Code::kResourceExhausted, "stream_queue_full", "the peer reads more slowly than we write");
      }
      const Status slow = fail(Code::kResourceExhausted, "slow_reader", "too many messages wait to be read: connect again");
      write_.clear();
      end_with(slow);
      return slow;
    }
    /// gRPC allows Finish once, and not while a write is in flight.
    void end_with(const Status& status) {
      if (!final_) final_ = status;
      if (is_finished_ || !write_.is_idle()) return;
      is_finished_ = true;
      for (const auto& [name, text] : trailing_) context_.AddTrailingMetadata(name, metadata_text(text));
      this->Finish(to_grpc(context_, *final_));
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
      const std::lock_guard lock(mutex_);
      write_.clear();
      end_with(fail(Code::kCancelled, "client_gone", "the client ended the call"));
    }
    void OnDone() override {
      std::unique_lock lock(mutex_);
      auto self = std::move(self_);
      is_finished_ = true;
      auto on_done = std::move(on_done_);
      lock.unlock();
      if (on_done) on_done();
    }

    grpc::CallbackServerContext& context_;  // valid until OnDone
    const WhenFull when_full_;
    std::function<void()> on_done_;
    mutable std::mutex mutex_;
    WriteQueue<Response> write_;
    std::optional<Status> final_;    // set: no more messages are taken
    Metadata trailing_;              // of final_
    bool has_begun_ = false;         // a message was handed to gRPC, and the initial metadata with it
    bool is_finished_ = false;       // Finish was called: start nothing more
    std::shared_ptr<Reactor> self_;  // gRPC's own reference, until OnDone
  };

  explicit StreamWriter(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;  // shared with gRPC
};

}  // namespace tidegate::rpc
