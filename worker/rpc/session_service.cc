#include "worker/rpc/session_service.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <chrono>
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

  Stream(Bidi bidi, EngineThread& engine, Counting counting, SessionId id, v1::WorkerHello hello, Log& log)
      : bidi_(std::move(bidi)),
        engine_(engine),
        counting_(std::move(counting)),
        id_(id),
        hello_(std::move(hello)),
        log_(log) {}

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
    const Mono read_at = engine_.now();
    for (v1::StartSequence& start : *frame.mutable_start()) post_start(std::move(start), read_at);
    for (v1::StartSequence& prompt : *frame.mutable_count()) post_count(std::move(prompt));
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

  void post_start(v1::StartSequence start, Mono read_at) {
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
    if (!command->embed.empty()) command->encoded = engine_.encode(command->embed);
    // Of the request's own time, also what the starts before it in the frame took.
    command->budget -= std::chrono::duration_cast<std::chrono::milliseconds>(engine_.now() - read_at);
    post([id = id_, command = *std::move(command)](EngineHost& host, Mono now) mutable {
      host.start(id, std::move(command), now);
    });
  }

  /// On a thread of its own: neither what runs nor a frame waits for a prompt that is only counted.
  void post_count(v1::StartSequence prompt) {
    const std::uint64_t sequence = prompt.sequence();
    auto place = counting_.gate->enter(prompt.ByteSizeLong());
    if (!place) {
      return tell_count(sequence, fail(Code::kResourceExhausted, "counts_full",
                                       "this worker has as many prompts to count as it takes; retry shortly"));
    }
    asio::post(counting_.executor,
               [self = shared_from_this(), place = *std::move(place), prompt = std::move(prompt)]() mutable {
                 self->count(std::move(prompt));
               });
  }

  void count(v1::StartSequence prompt) {
    if (!bidi_.is_open()) return;  // nobody is left to hear it
    const std::uint64_t sequence = prompt.sequence();
    Result<StartCommand> command = decode_start(std::move(prompt));
    Result<std::int32_t> counted = 0;
    if (command) {
      counted = engine_.count_prompt(*std::move(command));
    } else {
      counted = fail(std::move(command).error());
    }
    tell_count(sequence, std::move(counted));
  }

  void tell_count(std::uint64_t sequence, Result<std::int32_t> counted) {
    post([id = id_, sequence, counted = std::move(counted)](EngineHost& host, Mono) {
      host.tell_count(id, sequence, counted);
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
  const Counting counting_;
  const SessionId id_;
  v1::WorkerHello hello_;
  Log& log_;
  bool is_attached_ = false;  // executor only
  bool is_greeted_ = false;   // engine thread only
};

SessionService::SessionService(rpc::AuthGate gate, Executor executor, Counting counting, Log& log)
    : gate_(std::move(gate)), executor_(std::move(executor)), counting_(std::move(counting)), log_(log) {}

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
  auto stream = std::make_shared<Stream>(std::move(bidi), *engine_, counting_, ++last_session_, hello_, log_);
  streams_.push_back(stream);
  stream->run(executor_);
  return reactor;
}

}  // namespace tidegate::worker
