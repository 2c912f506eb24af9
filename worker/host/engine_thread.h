#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "worker/host/engine_host.h"

namespace tidegate::worker {

/// Owns the engine's thread: takes commands from a bounded inbox, runs turns, sleeps on a condition when there is
/// nothing to do. The public methods may be called from any thread.
class EngineThread {
 public:
  /// Runs on the engine thread; must not block.
  using Command = std::move_only_function<void(EngineHost&, Mono now)>;

  struct Limits {
    HostLimits host;
    /// A stream reads its next frame only after the last one was taken, so this is met only beyond as many streams.
    std::size_t inbox_max = 4096;
  };

  /// `clock`, `metrics`, `log` and `meter` (which may be null) outlive the thread, which starts at once.
  EngineThread(std::unique_ptr<Engine> engine, const Clock& clock, const WorkerMetrics& metrics, Log& log,
               Limits limits, UsageMeter* meter = nullptr);
  /// Stops within one step; what runs is dropped.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  /// False when the inbox is full or the thread has stopped; the command is then not run.
  [[nodiscard]] bool post(Command command);
  /// As post(), but past the bound: for commands of which there is at most one per stream (attach, detach).
  void post_always(Command command);

  /// Grants no more credits; `on_drained` runs on the engine thread, once, when nothing runs and every frame was
  /// taken. Later calls only replace the callback.
  void drain(std::function<void()> on_drained);
  /// Ends what a drain could not wait for.
  void cancel_all();
  void stop();

  /// As Engine::compile(), on the caller's thread: for StartCommand::constraint.
  Result<std::shared_ptr<const grammar::Grammar>> compile(const ToolOffer& offer) { return engine_->compile(offer); }

  /// As Engine::encode(), on the caller's thread: for StartCommand::encoded.
  Status encode(std::vector<EmbedInput>& inputs) const { return std::as_const(*engine_).encode(inputs); }

  /// Of the engine's clock.
  Mono now() const { return clock_.mono(); }
  const EngineFacts& facts() const { return facts_; }
  EngineLoad load() const;
  /// Tokens of the command's prompt, as Engine::count_prompt; on the caller's thread.
  Result<std::int32_t> count_prompt(StartCommand command) const;

 private:
  void run();
  bool wait_for_work();

  std::unique_ptr<Engine> engine_;
  const EngineFacts facts_;
  const Clock& clock_;
  const Limits limits_;
  EngineHost host_;  // engine thread only
  std::function<void()> on_drained_;  // engine thread only

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Command> inbox_;
  EngineLoad load_;
  bool stopping_ = false;

  std::thread thread_;  // last: everything above is ready when it starts
};

}  // namespace tidegate::worker
