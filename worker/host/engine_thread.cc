#include "worker/host/engine_thread.h"

#include <utility>

namespace tidegate::worker {

EngineThread::EngineThread(std::unique_ptr<Engine> engine, const Clock& clock, const WorkerMetrics& metrics, Log& log,
                           Limits limits, UsageMeter* meter)
    : engine_(std::move(engine)),
      facts_(engine_->facts()),
      clock_(clock),
      limits_(limits),
      host_(*engine_, metrics, log, limits.host, meter),
      thread_([this] { run(); }) {
  engine_->set_wake([this] { post_always([](EngineHost&, Mono) {}); });
}

EngineThread::~EngineThread() {
  stop();
  engine_->set_wake({});
}

bool EngineThread::post(Command command) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || inbox_.size() >= limits_.inbox_max) return false;
    inbox_.push_back(std::move(command));
  }
  work_.notify_one();
  return true;
}

void EngineThread::post_always(Command command) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    inbox_.push_back(std::move(command));
  }
  work_.notify_one();
}

void EngineThread::drain(std::function<void()> on_drained) {
  post_always([this, on_drained = std::move(on_drained)](EngineHost& host, Mono) mutable {
    on_drained_ = std::move(on_drained);
    host.drain();
  });
}

void EngineThread::cancel_all() {
  post_always([](EngineHost& host, Mono) { host.cancel_all(); });
}

void EngineThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Result<std::int32_t> EngineThread::count_prompt(StartCommand command) const {
  GenerateRequest request;
  request.messages = std::move(command.messages);
  request.raw = std::move(command.raw);
  request.offer = std::move(command.offer);
  return std::as_const(*engine_).count_prompt(request);
}

EngineLoad EngineThread::load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

bool EngineThread::wait_for_work() {
  std::unique_lock lock(mutex_);
  while (inbox_.empty() && !stopping_) {
    // wake_at is this thread's own: nothing but a command or the clock changes it while we wait.
    const std::optional<Mono> at = host_.wake_at(clock_.mono());
    if (!at) {
      work_.wait(lock);
    } else if (*at <= clock_.mono()) {
      break;
    } else {
      work_.wait_until(lock, *at);
    }
  }
  return !stopping_;
}

void EngineThread::run() {
  while (wait_for_work()) {
    std::deque<Command> commands;
    {
      const std::lock_guard lock(mutex_);
      commands.swap(inbox_);
    }
    for (Command& command : commands) command(host_, clock_.mono());
    commands.clear();
    host_.turn(clock_.mono());
    {
      const std::lock_guard lock(mutex_);
      load_ = engine_->load();
    }
    if (on_drained_ && host_.is_drained()) std::exchange(on_drained_, nullptr)();
  }
}

}  // namespace tidegate::worker
