#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/core/deadline.h"
#include "base/core/log.h"
#include "worker/engine/engine.h"
#include "worker/host/credit_policy.h"
#include "worker/host/outbox.h"
#include "worker/host/session.h"
#include "worker/meter/usage_meter.h"
#include "worker/metrics.h"

namespace tidegate::worker {

struct HostLimits {
  /// Sequences a full engine may hold waiting, so that a freed slot is refilled at once.
  std::int32_t credits_overcommit = 2;
  /// Text waiting for a stream that does not take it; beyond this the session's sequences are cancelled.
  std::size_t outbox_bytes_max = 1 << 20;
  /// A full stream is tried again with every turn, and after this long without one.
  Duration retry_after = std::chrono::milliseconds(5);
};

/// Sessions on one side, an Engine on the other. Everything runs on one thread (EngineThread's); time is a parameter.
///
/// Promises: a sequence that was started yields its events in order and exactly one finish, unless its session ended;
/// a session gets at most one frame per step, with the events of all its sequences; one that does not read costs
/// bounded memory; nothing runs for a session that has ended after the next step.
class EngineHost {
 public:
  /// `engine`, `metrics`, `log` and `meter` (which may be null) outlive the host.
  EngineHost(Engine& engine, const WorkerMetrics& metrics, Log& log, HostLimits limits, UsageMeter* meter = nullptr);

  /// The sink is shared: the stream's own thread may drop it at any moment. The first frame goes out with the next
  /// turn.
  void attach(SessionId session, std::shared_ptr<SessionSink> sink);
  /// Every way a start can fail is an event of that sequence, with finish = kError.
  void start(SessionId session, StartCommand command, Mono now);
  /// A start that could not even be read: its sequence ends with `error`. It used a credit, as the gateway counts it.
  void reject(SessionId session, std::uint64_t sequence, Error error);
  /// What a prompt that is not to be answered comes to. No credit, no sequence: only one event.
  void tell_count(SessionId session, std::uint64_t sequence, const Result<std::int32_t>& prompt_tokens);
  void cancel(SessionId session, std::uint64_t sequence);
  /// The stream broke or ended: its sequences are cancelled at the next step, and what they say is dropped.
  void detach(SessionId session);
  /// No credit is granted from here on. What runs finishes.
  void drain();
  /// Ends what a drain could not wait for.
  void cancel_all();

  /// One turn: spends budgets, runs a step if there is work, grants credits, sends frames.
  void turn(Mono now);
  /// When turn() has something to do without a new command: nullopt = not before one, an instant in the past = now.
  std::optional<Mono> wake_at(Mono now) const;

  /// Drained and everything said: the process may exit.
  bool is_drained() const;
  std::int32_t sessions() const { return static_cast<std::int32_t>(sessions_.size()); }
  std::int32_t live() const { return static_cast<std::int32_t>(sequences_.size()); }
  /// Places that they take in the batch: one for each answer.
  std::int32_t places() const { return places_; }

 private:
  struct Session {
    SessionId id = 0;
    std::shared_ptr<SessionSink> sink;  // shared with the stream's reactor, see attach()
    CreditSeat seat;
    Outbox outbox;
    std::unordered_map<std::uint64_t, SequenceHandle> handle_of_sequence;
    bool is_due = true;  ///< credits or draining changed since the last frame
    std::int64_t tokens_told = 0;  ///< of work ahead, in the last frame
    bool overflowed = false;
  };
  enum class Ending : std::uint8_t { kNone, kBudgetSpent };
  struct Sequence {
    SessionId session = 0;
    std::uint64_t number = 0;
    RequestId request;
    Deadline deadline = Deadline::never();
    std::multimap<Mono, SequenceHandle>::iterator expiry;
    std::int64_t prompt_tokens_estimated = 0;
    bool accepted = false;
    bool collects = false;
    std::int32_t places = 1;
    std::optional<SessionEvent> held = {};  ///< of one that collects: not told yet
    std::int64_t tokens_told = 0;
    Mono told_at{};
    Ending ending = Ending::kNone;
  };

  void refuse(Session& session, std::uint64_t sequence, Error error);
  void expire(Mono now);
  void route(SequenceEvent event, Mono now);
  /// nullopt: it waits for more of the same sequence.
  static std::optional<SessionEvent> collect(Sequence& sequence, SessionEvent event, Mono now);
  void finish(SequenceHandle handle, const Sequence& sequence);
  void grant();
  bool send(Session& session, const EngineLoad& load);
  void observe_step(double seconds, const EngineLoad& before);

  Engine& engine_;
  const WorkerMetrics& metrics_;
  Log& log_;
  HostLimits limits_;
  UsageMeter* const meter_;
  std::map<SessionId, Session> sessions_;  // ordered: frames leave in the order sessions came
  std::unordered_map<SequenceHandle, Sequence> sequences_;
  std::multimap<Mono, SequenceHandle> expiries_;
  std::int64_t tokens_queued_ = 0;
  std::int32_t places_ = 0;
  std::optional<Mono> retry_at_;  ///< some stream was full
  SequenceHandle last_handle_ = 0;
  bool draining_ = false;
};

}  // namespace tidegate::worker
