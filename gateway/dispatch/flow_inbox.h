#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "base/net/signal.h"
#include "gateway/dispatch/dispatcher.h"

namespace tidegate::gateway {

/// Stands in for a request's coroutine while that waits, for events that need no waiting.
class DeltaTaker {
 public:
  virtual ~DeltaTaker() = default;
  /// False: `delta` is as it was, and goes the usual way. True: what was wanted of it is taken.
  virtual bool take_now(SequenceDelta& delta) = 0;
};

/// What happened to a request since its coroutine last looked. Events of a worker are merged, so that a slow client
/// costs the text it has not read yet and no more; of several answers each has its own message. One io thread.
class FlowInbox final : public SequenceListener {
 public:
  struct ClientGone {};
  struct Shutdown {};
  struct WorkerLost {};
  struct Nudge {};  ///< the taker has left something to do
  using Message = std::variant<ClientGone, Shutdown, Refusal, WorkerFacts, Nudge, SequenceDelta, WorkerLost>;

  explicit FlowInbox(Executor executor) : signal_(std::move(executor)) {}

  void on_dispatched(const WorkerFacts& worker) override;
  void on_delta(SequenceDelta&& delta) override;
  void on_worker_lost() override;
  void on_queue_refused(Refusal refusal) override;
  void on_client_gone();
  void on_shutdown();
  /// From the taker: wakes the coroutine.
  void nudge();
  /// While it is set, an event that finds nothing before it is offered to it. Null: none.
  void set_taker(DeltaTaker* taker) { taker_ = taker; }

  /// The most urgent message: a client that left comes before text it would never read.
  std::optional<Message> take();
  /// True once the client left, taken or not.
  bool is_client_gone() const { return gone_ != Flag::kNo; }
  /// Until the client left or the gateway stops. Not beside next(). What comes meanwhile is kept.
  awaitable<void> wait_until_unwanted();
  /// Waits for a message; nullopt at the deadline.
  awaitable<std::optional<Message>> next(Deadline deadline);
  /// Forgets what a lost worker said, before the request is submitted again.
  void reset_worker();

 private:
  enum class Flag : std::uint8_t { kNo, kPending, kTaken };
  static bool take_flag(Flag& flag);
  bool is_empty() const;
  /// A worker tells totals of the request; what an event adds to them is its answer's.
  void count_own(SequenceDelta& delta);

  AsyncSignal signal_;
  Flag gone_ = Flag::kNo;
  Flag shutdown_ = Flag::kNo;
  bool lost_ = false;
  bool is_nudged_ = false;
  DeltaTaker* taker_ = nullptr;
  std::optional<Refusal> refused_;
  std::optional<WorkerFacts> worker_;
  /// One for each answer that has something to say, and behind them the end of several. Totals never fall from one to
  /// the next, and never count text that stands behind.
  std::deque<SequenceDelta> deltas_;
  TokenUsage told_;                         ///< totals of the newest event
  std::map<std::int32_t, TokenUsage> own_;  ///< by answer
};

}  // namespace tidegate::gateway
