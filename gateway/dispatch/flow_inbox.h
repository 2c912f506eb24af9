#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/net/signal.h"
#include "gateway/dispatch/dispatcher.h"

namespace tidegate::gateway {

/// What happened to a request since its coroutine last looked. Events of a worker are merged, so that a slow client
/// costs the text it has not read yet and no more. One io thread.
class FlowInbox final : public SequenceListener {
 public:
  struct ClientGone {};
  struct Shutdown {};
  struct WorkerLost {};
  using Message = std::variant<ClientGone, Shutdown, Refusal, WorkerFacts, SequenceDelta, WorkerLost>;

  explicit FlowInbox(Executor executor) : signal_(std::move(executor)) {}

  void on_dispatched(const WorkerFacts& worker) override;
  void on_delta(SequenceDelta delta) override;
  void on_worker_lost() override;
  void on_queue_refused(Refusal refusal) override;
  void on_client_gone();
  void on_shutdown();

  /// The most urgent message: a client that left comes before text it would never read.
  std::optional<Message> take();
  /// True once the client left, taken or not.
  bool is_client_gone() const { return gone_ != Flag::kNo; }
  /// Not beside next(). What comes meanwhile is kept.
  awaitable<void> wait_until_client_gone();
  /// Waits for a message; nullopt at the deadline.
  awaitable<std::optional<Message>> next(Deadline deadline);
  /// Forgets what a lost worker said, before the request is submitted again.
  void reset_worker();

 private:
  enum class Flag : std::uint8_t { kNo, kPending, kTaken };
  static bool take_flag(Flag& flag);

  AsyncSignal signal_;
  Flag gone_ = Flag::kNo;
  Flag shutdown_ = Flag::kNo;
  bool lost_ = false;
  std::optional<Refusal> refused_;
  std::optional<WorkerFacts> worker_;
  std::optional<SequenceDelta> delta_;
};

}  // namespace tidegate::gateway
