#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/result.h"
#include "base/net/io_threads.h"
#include "base/net/signal.h"
#include "worker/engine/engine.h"
#include "worker/external/answer_reader.h"
#include "worker/external/engine_kind.h"
#include "worker/external/metrics.h"
#include "worker/external/token_count.h"
#include "worker/external/upstream.h"
#include "worker/external/usage_check.h"

namespace tidegate::worker::external {

struct ExternalOptions {
  UpstreamOptions upstream;
  EngineKind kind = EngineKind::kOpenAi;
  std::string model;                       ///< the engine's own name for it
  std::string tokenizer_dir;               ///< empty: tokens are counted by bytes
  std::int64_t bytes_per_token_max = 8;    ///< without a tokenizer
  UsageTolerance tolerance;
  bool continuous_usage = true;            ///< of kinds that have it
  std::int32_t context_max = 0;            ///< 0: what the engine's list of models says
  std::int32_t sequences_max = 16;         ///< requests to the engine at once
  std::int32_t waiting_max = 16;
  Duration first_byte_limit = std::chrono::minutes(2);
  Duration silence_limit = std::chrono::seconds(30);  ///< between bytes of an answer
  Duration probe_every = std::chrono::seconds(2);
  std::int32_t probes_failed_max = 3;      ///< in a row, before it counts as down
  Duration start_limit = std::chrono::minutes(10);    ///< for the engine to become healthy at first
};

/// Any server that speaks OpenAI's API, as an Engine: each sequence is one streaming request to it. What it says an answer
/// took is held against a count of ours (usage_check.h). It is healthy or not: while it is not, submit() refuses.
///
/// Requests run on a thread of their own; the engine's thread only takes what came in. Cancelling closes the connection.
/// Facts name the weights `external:KIND:MODEL`, for nobody here has seen them.
class ExternalEngine final : public Engine {
 public:
  /// Waits, on the calling thread, until the engine is healthy and has the model. `is_given_up` is asked between probes.
  /// `metrics`, `clock` and `log` outlive the engine. Fails: as Upstream::open, TokenCounter::open and
  /// Upstream::find_model; unavailable/upstream_not_ready after the start limit, cancelled/given_up;
  /// invalid_argument/bad_config when nobody says how long its context is.
  static Result<std::unique_ptr<ExternalEngine>> open(ExternalOptions options, const ExternalMetrics& metrics,
                                                      const Clock& clock, Log& log,
                                                      const std::function<bool()>& is_given_up = {});
  /// Closes every connection.
  ~ExternalEngine() override;

  /// Told of every change of health, on the adapter's thread, which it must not block; none: nobody. Begins to probe. Once.
  void watch_health(std::function<void(bool is_up, const std::string& why)> told);

  const EngineFacts& facts() const override { return facts_; }
  Status submit(GenerateRequest request) override;
  void cancel(SequenceHandle handle) override { cancels_.push_back(handle); }
  bool idle() const override { return live_.empty(); }
  std::vector<SequenceEvent> step() override;
  EngineLoad load() const override;
  Result<std::int32_t> count_prompt(const GenerateRequest& request) const override;
  std::optional<Mono> next_step_at() const override;
  void set_wake(std::function<void()> wake) override;

 private:
  struct Call;  // one request: of the adapter's thread, but for its stop event
  struct Live;  // of the engine's thread
  /// What came in of a sequence since the last step.
  struct Progress {
    bool is_opened = false;  ///< the engine has begun to answer
    AnswerPiece piece;
    TokenRange completion;   ///< of the answer so far
    TokenRange reasoning;
    std::optional<FinishReason> finish;
    std::string stop_text;
    Error error;             ///< of kError
  };

  ExternalEngine(ExternalOptions options, Upstream upstream, TokenCounter counter, const ExternalMetrics& metrics,
                 const Clock& clock, Log& log);
  awaitable<Status> become_healthy(const std::function<bool()>& is_given_up);
  awaitable<void> probe();
  void set_health(bool is_up, const std::string& why);

  void begin(Live& live);
  awaitable<void> run(std::shared_ptr<Call> call);
  awaitable<void> exchange(std::shared_ptr<Call> call);
  awaitable<void> wait_for_stop(std::shared_ptr<Call> call);
  bool on_bytes(Call& call, int status, std::string_view bytes);
  Error failure_of(const Call& call, const Result<HttpClientResponse>& answer) const;
  void end_well(Call& call, FinishReason finish);
  void end_badly(Call& call, Error error);
  /// `update` becomes part of what waits for the next step.
  void hand_over(const Call& call, Progress update);
  void enter();
  void leave();

  void apply(Live& live, Progress progress, std::vector<SequenceEvent>& events);
  void settle(Live& live, const Progress& progress);
  /// Usage comes with every chunk.
  bool asks_totals() const;
  std::int32_t running() const;
  Live* find(SequenceHandle handle) const;

  const ExternalOptions options_;
  const Upstream upstream_;
  const TokenCounter counter_;
  const ExternalMetrics& metrics_;
  const Clock& clock_;
  Log& log_;
  EngineFacts facts_;

  // Engine thread only.
  EngineLoad load_;
  std::vector<std::unique_ptr<Live>> live_;  ///< in order of submission
  std::vector<SequenceHandle> cancels_;

  // Between the threads. `wake_mutex_` is held while wake_ runs, `mutex_` never.
  mutable std::mutex mutex_;
  std::condition_variable calls_gone_;
  std::unordered_map<SequenceHandle, Progress> inbox_;
  std::int32_t calls_open_ = 0;  ///< coroutines that run
  bool has_news_ = false;
  bool is_up_ = true;
  std::mutex wake_mutex_;
  std::function<void()> wake_;

  std::function<void(bool, const std::string&)> health_told_;  // adapter's thread, from watch_health() on
  IoThreads threads_{1, "external"};
  Event stopping_{threads_.executor(0)};
};

}  // namespace tidegate::worker::external
