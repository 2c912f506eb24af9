#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/rpc/client.h"
#include "gateway/core/ability.h"
#include "gateway/core/prefix_index.h"
#include "gateway/core/worker_load.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/metrics.h"
#include "tidegate/v1/worker.grpc.pb.h"

namespace tidegate::gateway {

struct SessionOptions {
  std::string gateway_id;
  std::uint64_t epoch = 0;
  std::uint32_t thread = 0;
  std::string cluster_token;
  RpcTlsOptions tls;
  std::string cache_secret;  ///< root of the tenants' cache salts; the dispatcher's
  Duration reconnect_least = std::chrono::milliseconds(50);
  Duration reconnect_most = std::chrono::seconds(2);
  Duration hello_timeout = std::chrono::seconds(5);
};

class WorkerSession;

/// A prompt that a worker counts. Shared by the session, which may go first, and by the coroutine that waits.
struct PromptCount {
  explicit PromptCount(const Executor& executor) : done(executor) {}
  AsyncSignal done;
  std::optional<Result<std::int64_t>> prompt_tokens;
};

/// How a sequence that the worker had ended, as far as it speaks for or against the worker.
enum class SequenceFate : std::uint8_t { kAnswered, kWorkerFailed, kLost };

/// What a session tells the dispatcher that owns it.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  /// The worker has greeted; facts, load and pace speak of this session from here on.
  virtual void on_opened(WorkerSession& session) = 0;
  /// A session that had opened broke or was ended; on_over of what ran follows. `is_loss`: answers were lost.
  virtual void on_broken(WorkerSession& session, bool is_loss) = 0;
  /// Any frame: it lives.
  virtual void on_heard(WorkerSession& session) = 0;
  /// A credit came, a place in the batch, or the session opened: something may leave the queue.
  virtual void on_capacity() = 0;
  /// The worker has counted the ticket's prompt.
  virtual void on_accepted(DispatchTicket ticket, const TokenUsage& usage) = 0;
  /// The ticket's first output: its prompt has been read whole.
  virtual void on_output(DispatchTicket ticket) = 0;
  /// Tokens of the ticket's answer so far, for fairness; the last count comes before on_over().
  virtual void on_tokens(DispatchTicket ticket, std::int64_t completion) = 0;
  /// The ticket's sequence ended or was lost; its listener is told next.
  virtual void on_over(DispatchTicket ticket, SequenceFate fate) = 0;
};

/// One io thread's stream to one worker: starts and cancels out, frames of events in, and the credits between them.
/// Remade with back-off when it breaks; its sequences are then lost, and their listeners told. One thread.
class WorkerSession : public std::enable_shared_from_this<WorkerSession> {
 public:
  /// `number` tells the sessions of a lane apart.
  WorkerSession(std::uint64_t number, const SessionOptions& options, Route route, SessionOwner& owner,
                PoolMetrics& metrics, const Clock& clock, Log& log, Executor executor);
  ~WorkerSession();
  WorkerSession(const WorkerSession&) = delete;
  WorkerSession& operator=(const WorkerSession&) = delete;

  /// Runs until stopped, or until retired with nothing left to finish. The coroutine shares ownership.
  awaitable<void> run();
  /// No new work; what runs may finish. Undone by revive().
  void retire();
  /// Ends a retired one as soon as whoever waited for its last count has given up, of which nothing tells it.
  void end_if_done();
  /// The worker is routed, with these facts from here on. has_pool_of(route) must hold.
  void revive(const Route& route);
  /// Of the same model, region and pool: a queue, prices and metrics.
  bool has_pool_of(const Route& route) const {
    return route_.model == route.model && route_.region == route.region && route_.pool == route.pool;
  }
  /// Breaks the stream: what runs is lost.
  void stop();

  /// Open, and neither it nor its worker is about to go: it takes work, now or with its next credit.
  bool is_serving() const { return is_greeted_ && !is_stopped_ && !is_retired_ && !is_draining_ && !is_let_go_; }
  bool can_take() const { return is_serving() && credits_total_ > load_.starts(); }

  /// Spends one credit. can_take() must hold. `tokens` of the prompt are probably not in the worker's cache, whose
  /// blocks are the tenant's own by `salt`. Leaves with what else this turn of the loop has for the worker.
  void begin(DispatchTicket ticket, const SequenceRequest& request, std::string_view salt, SequenceListener& listener,
             std::int64_t tokens);
  /// Costs no credit; is_serving() must hold. Answered at once, or never when nobody waits any more.
  std::shared_ptr<PromptCount> count(const Plan& plan);
  /// Prompts that are being counted.
  std::size_t counting() const { return counts_.size(); }
  /// The listener hears nothing more.
  void cancel(DispatchTicket ticket);

  std::uint64_t number() const { return number_; }
  /// Sequences it may start now; those of other threads may be the same slots.
  std::int64_t credits() const;
  /// Of these, as far as this lane knows, those whose sequence would be run at once: the others would wait at the worker.
  std::int64_t places() const;
  const Route& route() const { return route_; }
  const ServingPool& pool() const { return pool_; }
  const WorkerFacts& facts() const { return facts_; }
  const WorkerLoad& load() const { return load_; }
  /// What the worker said that it can do.
  AbilitySet abilities() const { return abilities_; }
  double prefill_rate() const { return pace_.tokens_per_second(); }
  /// Tokens; 0: the worker does not say.
  std::int64_t kv_tokens_total() const { return kv_tokens_total_; }
  /// What it runs at once; one that has not said would run what it gave credits for.
  std::int64_t sequences_max() const {
    return sequences_max_ > 0 ? sequences_max_ : static_cast<std::int64_t>(credits_total_);
  }
  /// Of this session.
  Mono opened_at() const { return opened_at_; }
  /// Its seat in the prefix index; the owner's to set.
  const std::optional<PrefixIndex::Holder>& holder() const { return holder_; }
  void set_holder(std::optional<PrefixIndex::Holder> holder) { holder_ = holder; }
  std::size_t running() const { return running_.size(); }
  bool is_open() const { return stream_.has_value() && is_greeted_; }

 private:
  using Stream = rpc::BidiClient<v1::GatewayFrame, v1::WorkerFrame>;
  struct Running {
    DispatchTicket ticket = 0;
    SequenceListener* listener = nullptr;
    std::uint64_t start = 0;             ///< its number in load_
    Mono began{};
    std::int64_t tokens = 0;             ///< of the prompt, to compute: as believed, then as counted
    std::int64_t tokens_before = 0;      ///< to compute before its first token, with its own
    bool has_output = false;
    std::int64_t tokens_told = 0;        ///< of the answer, to on_tokens()
  };

  awaitable<Status> serve_stream();
  Status greet(const v1::WorkerFrame& frame);
  void on_frame(v1::WorkerFrame frame);
  void on_event(v1::SequenceEvent&& event);
  void on_counted(v1::SequenceEvent&& event);
  /// Sequences, or prompts being counted that somebody still waits for.
  bool has_work() const;
  void note_output(Running& running);
  void lose_all();
  /// Room in the frame that leaves at the end of this turn of the loop.
  v1::GatewayFrame& frame_for(std::size_t bytes);
  void flush();
  void let_go();
  void publish();

  const std::uint64_t number_;
  const SessionOptions& options_;
  Route route_;
  ServingPool pool_;
  SessionOwner& owner_;
  PoolMetrics& metrics_;
  const Clock& clock_;
  Log& log_;
  Backoff backoff_;
  WorkerFacts facts_;

  std::optional<Stream> stream_;
  bool is_greeted_ = false;
  bool is_stopped_ = false;
  bool is_retired_ = false;
  bool is_draining_ = false;
  bool is_let_go_ = false;  ///< the stream was ended from here, with nothing on it; a revive() makes a new one
  int refusals_in_a_row_ = 0;  ///< only the first is logged
  AsyncSignal wake_;  ///< ends a back-off early
  const Executor executor_;

  v1::GatewayFrame outgoing_;         ///< starts, cancels and counts of this turn of the loop
  std::size_t outgoing_bytes_ = 0;    ///< of its starts, about
  bool is_flush_posted_ = false;

  std::uint64_t credits_total_ = 0;
  std::uint64_t next_sequence_ = 1;
  WorkerLoad load_;
  PrefillPace pace_;
  std::int64_t kv_tokens_total_ = 0;
  std::int64_t sequences_max_ = 0;
  AbilitySet abilities_;
  Mono opened_at_{};
  std::optional<PrefixIndex::Holder> holder_;
  std::int64_t credits_published_ = 0;
  bool open_published_ = false;
  std::unordered_map<std::uint64_t, Running> running_;               ///< by sequence
  std::unordered_map<DispatchTicket, std::uint64_t> sequence_of_;
  std::unordered_map<std::uint64_t, std::shared_ptr<PromptCount>> counts_;  ///< by sequence
};

}  // namespace tidegate::gateway
