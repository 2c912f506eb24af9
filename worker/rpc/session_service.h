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
#include "worker/rpc/worker_facts.h"

namespace tidegate::worker {

/// The Worker service: each Session stream becomes a session of the engine's host. gRPC threads only pass messages on;
/// frames are read and checked on `executor`, where also schemas are compiled, which may take long by the measure of a
/// heartbeat: give it a thread of its own. Everything else happens on the engine thread.
///
/// A stream is refused with unavailable/model_loading until serve() was called.
class SessionService final : public v1::Worker::CallbackService {
 public:
  /// `executor` outlives the server that runs this service; `log` outlives the service.
  SessionService(rpc::AuthGate gate, Executor executor, Log& log);
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
  Log& log_;
  std::mutex mutex_;
  EngineThread* engine_ = nullptr;
  v1::WorkerHello hello_;
  SessionId last_session_ = 0;
  std::list<std::weak_ptr<Stream>> streams_;
};

}  // namespace tidegate::worker
