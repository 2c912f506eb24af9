#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

namespace tidegate::rpc {

/// Folds `next` into the last queued message, which gRPC has not seen yet. False: leave both, queue `next` behind.
/// `next` may be moved from only when the answer is true. Runs under the stream's lock: short, no calls out.
template <typename T>
using Merge = std::function<bool(T& last, T& next)>;

template <typename T>
struct StreamOptions {
  /// Messages waiting behind the one in flight. Full: write() is refused, the caller decides.
  std::size_t queue_max = 64;
  /// Empty: messages are never merged.
  Merge<T> merge = {};
};

/// The writing half of a stream: gRPC takes one message at a time, the rest waits here, bounded. Not thread-safe: the
/// reactor that owns it locks.
template <typename T>
class WriteQueue {
 public:
  enum class Push { kStart, kQueued, kMerged, kFull };

  explicit WriteQueue(StreamOptions<T> options) : options_(std::move(options)) {}

  /// kStart: nothing was in flight; write current() now. kFull: the message was dropped.
  Push push(T message) {
    if (!in_flight_) {
      in_flight_.emplace(std::move(message));
      return Push::kStart;
    }
    if (!waiting_.empty() && options_.merge && options_.merge(waiting_.back(), message)) return Push::kMerged;
    if (waiting_.size() >= options_.queue_max) return Push::kFull;
    waiting_.push_back(std::move(message));
    return Push::kQueued;
  }
  const T& current() const { return *in_flight_; }
  /// The message in flight is written. True: current() is the next one; write it.
  bool next() {
    in_flight_.reset();
    if (waiting_.empty()) return false;
    in_flight_.emplace(std::move(waiting_.front()));
    waiting_.pop_front();
    return true;
  }
  bool is_idle() const { return !in_flight_; }
  /// Not counting the one in flight.
  std::size_t waiting() const { return waiting_.size(); }
  bool has_room() const { return !in_flight_ || waiting_.size() < options_.queue_max; }
  /// Forgets what waits; what is in flight stays until next().
  void clear() { waiting_.clear(); }

 private:
  StreamOptions<T> options_;
  std::optional<T> in_flight_;
  std::deque<T> waiting_;
};

}  // namespace tidegate::rpc
