#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "base/core/check.h"
#include "base/core/result.h"

namespace tidegate::rpc {

/// The reading half of a stream: one message, one consumer. Not thread-safe: the reactor that owns it locks, and calls
/// the Waiter it gets back after unlocking.
///
/// Invariant: gRPC reads into buffer() only while no message waits there, so at most one message is held here and flow
/// control reaches the sender.
template <typename T>
class ReadSide {
 public:
  /// A message; nullopt: the stream ended well; an Error: it broke.
  using Item = Result<std::optional<T>>;
  using Waiter = std::move_only_function<void(Item)>;

  T& buffer() { return buffer_; }

  /// The buffered message or the end. After a message the caller starts the next read. nullopt: wait.
  std::optional<Item> take() {
    if (has_message_) {
      has_message_ = false;
      return Item(std::move(buffer_));
    }
    if (end_) return end_;
    return std::nullopt;
  }
  bool has_message() const { return has_message_; }
  bool is_ended() const { return end_.has_value(); }

  /// Names the wait that follows, so that a late timer cannot abandon another one.
  std::uint64_t new_ticket() { return ++ticket_; }
  void wait(Waiter waiter) {
    TG_CHECK(!waiter_);  // two coroutines read one stream
    waiter_ = std::move(waiter);
  }

  /// gRPC filled buffer(). A waiter: hand it the buffer and start the next read; none: the message is kept.
  Waiter arrived() {
    if (!waiter_) has_message_ = true;
    return std::exchange(waiter_, nullptr);
  }
  /// What is buffered stays readable before the end. Only the first end counts.
  Waiter end(Item final) {
    if (!end_) end_ = std::move(final);
    return has_message_ ? nullptr : std::exchange(waiter_, nullptr);
  }
  Waiter abandon(std::uint64_t ticket) {
    return ticket == ticket_ ? std::exchange(waiter_, nullptr) : nullptr;
  }
  void drop_message() { has_message_ = false; }

 private:
  T buffer_;
  bool has_message_ = false;
  std::optional<Item> end_;
  Waiter waiter_;
  std::uint64_t ticket_ = 0;
};

}  // namespace tidegate::rpc
