#include "worker/rpc/session_service.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "worker/rpc/frame_codec.h"

namespace tidegate::worker {

namespace {
// Frames behind the one in flight. Beyond these the host merges events by sequence, which needs less memory than frames.
constexpr std::size_t kFramesQueuedMax = 4;
}  // namespace

/// One gateway's stream. Shared by the reading side (executor) and by the host (engine thread), whichever lets go last.
class SessionService::Stream final : public SessionSink, public std::enable_shared_from_this<Stream> {
 public:
  using Bidi = rpc::BidiServer<v1::GatewayFrame, v1::WorkerFrame>;

  Stream(Bidi bidi, EngineThread& engine, SessionId id, v1::WorkerHello hello, Log& log)
      : bidi_(std::move(bidi)), engine_(engine), id_(id), hello_(std::move(hello)), log_(log) {}

  void run(const Executor& executor) {
    auto self = shared_from_this();
    bidi_.consume(
        executor, [self](v1::GatewayFrame frame) { self->on_frame(std::move(frame)); },
        [self](const Status& end) { self->on_end(end); });
  }

  /// Engine thread, one call at a time: so the answer of queued() can only shrink before write().
  SendResult try_send(SessionFrame& frame) override {
    if (!bidi_.is_open()) return SendResult::kClosed;
    if (bidi_.queued() >= kFramesQueuedMax) return SendResult::kFull;
    v1::WorkerFrame out = encode_frame(std::move(frame));
    if (!std::exchange(is_greeted_, true)) *out.mutable_hello() = std::move(hello_);
    return bidi_.write(std::move(out)) ? SendResult::kTaken : SendResult::kClosed;
  }

  void finish(const Status& status) { bidi_.finish(status); }

 private:
  void on_frame(v1::GatewayFrame frame) {
    if (frame.has_hello() == is_attached_) {
      const char* words = is_attached_ ? "hello comes once" : "the first frame must be hello";
      return bidi_.finish(fail(Code::kInvalidArgument, "bad_hello", words, "hello"));
    }
    if (frame.has_hello()) attach(frame.hello());
    for (v1::StartSequence& start : *frame.mutable_start()) post_start(std::move(start));
    for (const std::uint64_t sequence : frame.cancel()) {
      post([id = id_, sequence](EngineHost& host, Mono) { host.cancel(id, sequence); });
    }
  }

  void attach(const v1::SessionHello& hello) {
    is_attached_ = true;
    log_.info("session_opened", {kv("session", id_), kv("gateway", hello.gateway_id()), kv("epoch", hello.epoch()),
                                 kv("thread", hello.thread())});
    auto self = shared_from_this();
    engine_.post_always([self](EngineHost& host, Mono) { host.attach(self->id_, self); });
  }

  void post_start(v1::StartSequence start) {
    const std::uint64_t sequence = start.sequence();
    Result<StartCommand> command = decode_start(std::move(start));
    if (!command) {
      return post([id = id_, sequence, error = command.error()](EngineHost& host, Mono) mutable {
        host.reject(id, sequence, std::move(error));
      });
    }
    // Here and not on the engine's thread, where all who decode would wait for it. Frames wait for it, so that a cancel
    // still comes behind its start.
    command->constraint = engine_.compile(command->offer);
    post([id = id_, command = *std::move(command)](EngineHost& host, Mono now) mutable {
      host.start(id, std::move(command), now);
    });
  }

  void post(EngineThread::Command command) {
    if (engine_.post(std::move(command))) return;
    bidi_.finish(fail(Code::kResourceExhausted, "inbox_full", "the worker takes no more commands now"));
  }

  void on_end(const Status& end) {
    log_.info("session_closed", {kv("session", id_), kv("reason", end ? "done" : end.error().reason)});
    engine_.post_always([id = id_](EngineHost& host, Mono) { host.detach(id); });
  }

  Bidi bidi_;
  EngineThread& engine_;
  const SessionId id_;
  v1::WorkerHello hello_;
  Log& log_;
  bool is_attached_ = false;  // executor only
  bool is_greeted_ = false;   // engine thread only
};

SessionService::SessionService(rpc::AuthGate gate, Executor executor, Log& log)
    : gate_(std::move(gate)), executor_(std::move(executor)), log_(log) {}

SessionService::~SessionService() = default;

void SessionService::serve(EngineThread& engine, v1::WorkerHello hello) {
  const std::lock_guard lock(mutex_);
  engine_ = &engine;
  hello_ = std::move(hello);
}

void SessionService::finish_all() {
  std::list<std::weak_ptr<Stream>> streams;
  {
    const std::lock_guard lock(mutex_);
    streams.swap(streams_);
  }
  for (const auto& weak : streams) {
    if (const auto stream = weak.lock()) stream->finish({});
  }
}

grpc::ServerBidiReactor<v1::GatewayFrame, v1::WorkerFrame>* SessionService::Session(
    grpc::CallbackServerContext* context) {
  auto bidi = Stream::Bidi::open(context, gate_, {.queue_max = kFramesQueuedMax + 1});
  auto* reactor = bidi.reactor();
  const std::lock_guard lock(mutex_);
  if (engine_ == nullptr) {
    bidi.finish(fail(Code::kUnavailable, "model_loading", "the worker is still loading its model"));
    return reactor;
  }
  streams_.remove_if([](const std::weak_ptr<Stream>& stream) { return stream.expired(); });
  auto stream = std::make_shared<Stream>(std::move(bidi), *engine_, ++last_session_, hello_, log_);
  streams_.push_back(stream);
  stream->run(executor_);
  return reactor;
}

}  // namespace tidegate::worker
