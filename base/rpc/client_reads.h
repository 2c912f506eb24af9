#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/core/deadline.h"
#include "base/rpc/channel.h"
#include "base/rpc/read_side.h"
#include "base/rpc/status_map.h"

namespace tidegate::rpc {

/// What every client-side reactor that reads a stream has in common: its context, its life until OnDone, and
/// reads that are taken one at a time. `GrpcReactor` is grpc::ClientReadReactor or grpc::ClientBidiReactor.
/// Hooks run under mutex_.
template <typename GrpcReactor, typename Response>
class ClientReads : public GrpcReactor, public Cancellable {
 public:
  using Item = typename ReadSide<Response>::Item;
  using Waiter = typename ReadSide<Response>::Waiter;

  ClientReads(Channel& channel, Deadline deadline) : calls_(channel.calls()) {
    channel.prepare(context_.emplace(), deadline);
  }

  grpc::ClientContext* context() { return &*context_; }
  /// `self` is gRPC's own reference.
  void start(std::shared_ptr<ClientReads> self) {
    calls_.add(*this);
    const std::lock_guard lock(mutex_);
    self_ = std::move(self);
    this->AddHold();  // reads and writes start outside reactions, until release()
    this->StartRead(&read_.buffer());
    this->StartCall();
    is_held_ = true;
    if (is_cancelled_) release();
  }
  void cancel() override {
    const std::lock_guard lock(mutex_);
    is_cancelled_ = true;
    read_.drop_message();
    on_cancel();
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

 protected:
  ~ClientReads() override = default;
  virtual void on_cancel() {}
  virtual void on_end() {}

  mutable std::mutex mutex_;
  bool is_held_ = false;  ///< between start and the last read: reads and writes may be started

 private:
  std::optional<Item> take() {
    const bool had_message = read_.has_message();
    auto item = read_.take();
    if (had_message && is_held_) this->StartRead(&read_.buffer());
    return item;
  }
  void release() {
    if (std::exchange(is_held_, false)) this->RemoveHold();
  }
  void OnReadDone(bool ok) final {
    std::unique_lock lock(mutex_);
    if (!ok || !is_held_) return release();  // OnDone brings the reason
    auto waiter = read_.arrived();
    if (!waiter) return;
    Item item(std::move(read_.buffer()));
    this->StartRead(&read_.buffer());
    lock.unlock();
    waiter(std::move(item));
  }
  void OnDone(const grpc::Status& status) final {
    std::unique_lock lock(mutex_);
    auto self = std::move(self_);
    on_end();
    Item end(std::nullopt);
    if (!status.ok()) end = fail(from_grpc(status, *context_));
    // Before remove(): the context owns a part of gRPC's channel, whose last owner joins the thread we are
    // on.
    context_.reset();
    auto waiter = read_.end(end);
    lock.unlock();
    if (waiter) waiter(std::move(end));
    calls_.remove(*this);
  }

  CallRegistry& calls_;
  std::optional<grpc::ClientContext> context_;  // until OnDone
  ReadSide<Response> read_;
  bool is_cancelled_ = false;
  std::shared_ptr<ClientReads> self_;  // until OnDone
};

}  // namespace tidegate::rpc
