#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/net/signal.h"

namespace tidegate {

/// A bounded queue from any thread to one coroutine on `executor`. It has no close(): the end of a stream is a
/// message of T's own (Asio's channels drop what is buffered when closed; here nothing is lost).
///
///   producer   if (!box.try_push(token)) cancel_sequence();   // full: the consumer is too slow, decide now
///              box.push_last(Finished{usage});                // always fits
///   consumer   while (true) { Event e = co_await box.pop(); ... if (is_last(e)) break; }
template <typename T>
class Mailbox {
 public:
  Mailbox(Executor executor, std::size_t capacity) : capacity_(capacity), signal_(std::move(executor)) {}

  /// False when full; the message is then gone: the caller decides what a full box means for its stream.
  [[nodiscard]] bool try_push(T message) {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() >= capacity_) return false;
      queue_.push_back(std::move(message));
    }
    signal_.notify();
    return true;
  }

  /// For the message that ends the stream: accepted beyond the capacity, so that an end is never lost.
  void push_last(T message) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(message));
    }
    signal_.notify();
  }

  std::optional<T> try_pop() {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return std::nullopt;
    std::optional<T> message(std::move(queue_.front()));
    queue_.pop_front();
    return message;
  }

  /// Waits for the next message. One consumer.
  awaitable<T> pop() {
    while (true) {
      if (auto message = try_pop()) co_return std::move(*message);
      co_await signal_.wait();
    }
  }

  /// nullopt when the deadline passed with nothing there.
  awaitable<std::optional<T>> pop_until(Deadline deadline) {
    while (true) {
      if (auto message = try_pop()) co_return message;
      if (!co_await signal_.wait_until(deadline)) co_return try_pop();
    }
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
  }
  std::size_t capacity() const { return capacity_; }

 private:
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<T> queue_;
  AsyncSignal signal_;
};

}  // namespace tidegate
