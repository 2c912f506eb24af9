#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/core/deadline.h"
#include "base/net/asio.h"
#include "base/rpc/channel.h"
#include "base/rpc/read_next.h"
#include "base/rpc/status_map.h"

namespace tidegate::rpc {

/// The client's end of a server stream; made by Client::read_stream. One consumer. Movable; destroying it cancels the
/// call, also in the middle of one: the reactor lives on until gRPC is done, and the channel waits for it.
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

  /// The next message; nullopt when the server ended the stream with OK; its error otherwise, again and again.
  /// deadline_exceeded/read_timeout leaves the stream as it was. gRPC fetches the next message only after this one
  /// was taken.
  awaitable<Item> read(Deadline deadline = Deadline::never()) { return read_next<Response>(reactor_, deadline); }
  Item read_blocking(Deadline deadline) { return read_next_blocking<Response>(reactor_, deadline); }
  /// Any thread. A waiting read() returns cancelled.
  void cancel() { reactor_->cancel(); }

  // For Client.
  static StreamReader prepare(Channel& channel, Deadline deadline) {
    return StreamReader(std::make_shared<Reactor>(channel, deadline));
  }
  grpc::ClientContext* context() { return &*reactor_->context_; }
  grpc::ClientReadReactor<Response>* reactor() { return reactor_.get(); }
  void start() { reactor_->start(reactor_); }

 private:
  class Reactor final : public grpc::ClientReadReactor<Response>, public Cancellable {
   public:
    using Waiter = typename ReadSide<Response>::Waiter;

    Reactor(Channel& channel, Deadline deadline) : calls_(channel.calls()) {
      channel.prepare(context_.emplace(), deadline);
    }

    void start(std::shared_ptr<Reactor> self) {
      calls_.add(*this);
      const std::lock_guard lock(mutex_);
      self_ = std::move(self);
      this->AddHold();  // reads start outside reactions, until release()
      this->StartRead(&read_.buffer());
      this->StartCall();
      is_held_ = true;
      if (is_cancelled_) release();
    }
    void cancel() override {
      const std::lock_guard lock(mutex_);
      is_cancelled_ = true;
      read_.drop_message();
      if (context_) context_->TryCancel();
      release();
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
    friend class StreamReader;

    std::optional<Item> take() {
      const bool had_message = read_.has_message();
      auto item = read_.take();
      if (had_message && is_held_) this->StartRead(&read_.buffer());
      return item;
    }
    void release() {
      if (std::exchange(is_held_, false)) this->RemoveHold();
    }
    void OnReadDone(bool ok) override {
      std::unique_lock lock(mutex_);
      if (!ok || !is_held_) return release();  // OnDone brings the reason
      auto waiter = read_.arrived();
      if (!waiter) return;
      Item item(std::move(read_.buffer()));
      this->StartRead(&read_.buffer());
      lock.unlock();
      waiter(std::move(item));
    }
    void OnDone(const grpc::Status& status) override {
      std::unique_lock lock(mutex_);
      auto self = std::move(self_);
      Item end(std::nullopt);
      if (!status.ok()) end = fail(from_grpc(status, *context_));
      // Before remove(): the context owns a part of gRPC's channel, whose last owner joins the thread we are on.
      context_.reset();
      auto waiter = read_.end(end);
      lock.unlock();
      if (waiter) waiter(std::move(end));
      calls_.remove(*this);
    }

    CallRegistry& calls_;
    std::optional<grpc::ClientContext> context_;  // until OnDone
    std::mutex mutex_;
    ReadSide<Response> read_;
    bool is_held_ = false;
    bool is_cancelled_ = false;
    std::shared_ptr<Reactor> self_;  // gRPC's own reference, until OnDone
  };

  explicit StreamReader(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::shared_ptr<Reactor> reactor_;  // shared with gRPC and with a waiting read()
};

}  // namespace tidegate::rpc
