#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/rpc/status_map.h"

namespace tidegate::rpc {

/// The server's end of a unary call that is answered later, from elsewhere: what StreamWriter is to a stream.
/// Thread-safe. Movable; destroying it unanswered ends the call as aborted. No gate: for services that check their
/// callers themselves.
template <typename Response>
class UnaryReply {
 public:
  /// `response` is gRPC's. `on_done`: once, on a gRPC thread, when the call is over for whatever reason: copy, post,
  /// return.
  static UnaryReply open(grpc::CallbackServerContext* context, Response* response, std::function<void()> on_done = {}) {
    auto reactor = std::make_shared<Reactor>(*context, *response, std::move(on_done));
    reactor->start(reactor);
    return UnaryReply(std::move(reactor));
  }
  UnaryReply(UnaryReply&&) noexcept = default;
  UnaryReply& operator=(UnaryReply&& other) noexcept {
    if (reactor_) reactor_->drop();
    reactor_ = std::move(other.reactor_);
    return *this;
  }
  ~UnaryReply() {
    if (reactor_) reactor_->drop();
  }

  /// For gRPC.
  grpc::ServerUnaryReactor* reactor() { return reactor_.get(); }

  /// Fields that travel before the answer, or with the status when there is none. Texts are cut as by metadata_text().
  void add_initial(const Metadata& fields) { reactor_->add_initial(fields); }
  /// Does not wait. OK promises no delivery. Fails: unavailable/stream_closed, the call is over.
  Status answer(Response response) { return reactor_->answer(std::move(response)); }
  /// Ends the call without an answer, with fields beside the status. Of this and answer() only the first counts.
  void refuse(const Error& error, const Metadata& trailing = {}) { reactor_->refuse(error, trailing); }

 private:
  class Reactor final : public grpc::ServerUnaryReactor {
   public:
    Reactor(grpc::CallbackServerContext& context, Response& response, std::function<void()> on_done)
        : context_(context), response_(response), on_done_(std::move(on_done)) {}

    void start(std::shared_ptr<Reactor> self) {
      const std::lock_guard lock(mutex_);
      self_ = std::move(self);
    }
    void add_initial(const Metadata& fields) {
      const std::lock_guard lock(mutex_);
      if (is_finished_) return;
      for (const auto& [name, text] : fields) context_.AddInitialMetadata(name, metadata_text(text));
    }
    Status answer(Response response) {
      const std::lock_guard lock(mutex_);
      if (std::exchange(is_finished_, true)) return fail(Code::kUnavailable, "stream_closed", "the call is over");
      response_ = std::move(response);
      this->Finish(grpc::Status::OK);
      return {};
    }
    void refuse(const Error& error, const Metadata& trailing) {
      const std::lock_guard lock(mutex_);
      if (std::exchange(is_finished_, true)) return;
      for (const auto& [name, text] : trailing) context_.AddTrailingMetadata(name, metadata_text(text));
      this->Finish(to_grpc(context_, error));
    }
    void drop() { refuse(Error(Code::kAborted, "call_dropped", "the server gave the call up"), {}); }

   private:
    void OnCancel() override { refuse(Error(Code::kCancelled, "client_gone", "the client ended the call"), {}); }
    void OnDone() override {
      std::unique_lock lock(mutex_);
      auto self = std::move(self_);
      is_finished_ = true;
      auto on_done = std::move(on_done_);
      lock.unlock();
      if (on_done) on_done();
    }

    grpc::CallbackServerContext& context_;  // valid until OnDone, as is the response
    Response& response_;
    std::function<void()> on_done_;
    std::mutex mutex_;
    bool is_finished_ = false;       // Finish was called: the context and the response are gRPC's
    std::shared_ptr<Reactor> self_;  // gRPC's own reference, until OnDone
  };

  explicit UnaryReply(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;  // shared with gRPC
};

}  // namespace tidegate::rpc
