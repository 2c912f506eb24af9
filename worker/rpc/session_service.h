#pragma once

#include <grpcpp/server_context.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "base/core/log.h"
#include "base/rpc/auth_gate.h"
#include "base/rpc/bidi_server.h"
#include "tidegate/v1/worker.grpc.pb.h"
#include "worker/host/engine_thread.h"
#include "worker/rpc/count_gate.h"
#include "worker/rpc/worker_facts.h"

namespace tidegate::worker {

/// The Worker service: each Session stream becomes a session of the engine's host. gRPC threads only pass messages on;
/// frames are read and checked on `executor`, where also schemas are compiled and texts to embed encoded, which may
/// take long by the measure of a heartbeat: give it a thread of its own. Prompts are counted on `counting`, one after
/// the other, as many as its gate lets in; those beyond are refused at once. Everything else is on the engine thread.
///
/// A stream is refused with unavailable/model_loading until serve() was called.
class SessionService final : public v1::Worker::CallbackService {
 public:
  /// What counts prompts: each takes as long as reading the text. Shared with what waits there.
  struct Counting {
    Executor executor;
    std::shared_ptr<CountGate> gate;
  };

  /// The executors outlive the server that runs this service; `log` and the gate's metrics outlive them.
  SessionService(rpc::AuthGate gate, Executor executor, Counting counting, Log& log);
  ~SessionService() override;

  /// The model is loaded. `engine` outlives the server.
  void serve(EngineThread& engine, v1::WorkerHello hello);
  /// Ends every stream with OK once what it was given is written; for the end of a drain.
  void finish_all();

  grpc::ServerBidiReactor<v1::GatewayFrame, v1::WorkerFrame>* Session(grpc::CallbackServerContext* context) override;

 private:
  class Stream;

  rpc::AuthGate gate_;
  Executor executor_;
  Counting counting_;
  Log& log_;
  std::mutex mutex_;
  EngineThread* engine_ = nullptr;
  v1::WorkerHello hello_;
  SessionId last_session_ = 0;
  std::list<std::weak_ptr<Stream>> streams_;
};

}  // namespace tidegate::worker
