#pragma once

#include <grpcpp/server_context.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/core/check.h"
#include "base/rpc/bidi_server.h"
#include "base/rpc/server.h"
#include "tests/support/eventually.h"
#include "tidegate/v1/worker.grpc.pb.h"

namespace tidegate::gateway::test {

/// A worker's gRPC face on a unix socket; the test plays the engine. Thread-safe.
class FakeWorkerService final : public v1::Worker::CallbackService {
 public:
  using Stream = rpc::BidiServer<v1::GatewayFrame, v1::WorkerFrame>;

  FakeWorkerService(std::string worker_id, std::string model, std::uint64_t credits, Executor executor)
      : worker_id_(std::move(worker_id)), model_(std::move(model)), credits_(credits), executor_(std::move(executor)) {}
  ~FakeWorkerService() override { die(); }

  /// Before listen(): what its hello says that it can do.
  void can(std::vector<v1::Ability> abilities) { abilities_ = std::move(abilities); }
  /// Of sessions from here on: what its hello says that it runs at once, which may be less than it gives credits for.
  void holds(std::int32_t sequences) {
    const std::lock_guard lock(mutex_);
    sequences_max_ = sequences;
  }
  /// `address` as "unix:/path" or "127.0.0.1:0".
  void listen(const std::string& address) {
    rpc::ServerOptions options;
    options.listen = {address};
    server_ = std::move(rpc::RpcServer::start(options, {this}).value());
  }
  std::string address() const { return server_->addresses().front(); }
  /// As a kill: every stream breaks, the port is closed.
  void die() {
    {
      const std::lock_guard lock(mutex_);
      streams_.clear();
    }
    server_.reset();
  }

  grpc::ServerBidiReactor<v1::GatewayFrame, v1::WorkerFrame>* Session(grpc::CallbackServerContext* context) override {
    auto stream = std::make_shared<Stream>(Stream::open(context, rpc::AuthGate::required("cluster-token")));
    auto* reactor = stream->reactor();
    v1::WorkerFrame first;
    auto* hello = first.mutable_hello();
    hello->set_worker_id(worker_id_);
    hello->set_model(model_);
    hello->set_variant("fp8");
    hello->set_engine("sim");
    hello->set_weights_digest("sha256:00");
    for (const v1::Ability ability : abilities_) hello->add_abilities(ability);
    first.set_credits_total(credits_);
    {
      const std::lock_guard lock(mutex_);
      hello->set_sequences_max(sequences_max_);
    }
    // a message that was read before the end may run after this service is gone: it goes to what both share
    const auto on_message = [seen = seen_](v1::GatewayFrame frame) { seen->note(std::move(frame)); };
    stream->consume(executor_, on_message, [](const Status&) {});
    (void)stream->write(std::move(first));
    const std::lock_guard lock(mutex_);
    streams_.push_back(std::move(stream));
    return reactor;
  }

  std::size_t started_count() const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->started.size();
  }
  std::vector<v1::StartSequence> counts() const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->counts;
  }
  v1::StartSequence started(std::size_t i) const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->started.at(i);
  }
  std::vector<std::uint64_t> cancelled() const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->cancelled;
  }
  std::size_t session_count() const {
    const std::lock_guard lock(mutex_);
    return streams_.size();
  }
  std::size_t hello_count() const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->hellos;
  }
  /// On the newest session; waits for the first.
  void send(v1::WorkerFrame frame) {
    TG_CHECK(tidegate::test::eventually([this] { return session_count() > 0; }));
    const std::lock_guard lock(mutex_);
    (void)streams_.back()->write(std::move(frame));
  }
  void grant(std::uint64_t credits_total) {
    v1::WorkerFrame frame;
    frame.set_credits_total(credits_total);
    send(std::move(frame));
  }
  void break_sessions() {
    const std::lock_guard lock(mutex_);
    streams_.clear();
  }

 private:
  /// What the gateways said.
  struct Seen {
    void note(v1::GatewayFrame frame) {
      const std::lock_guard lock(mutex);
      if (frame.has_hello()) ++hellos;
      for (auto& start : *frame.mutable_start()) started.push_back(std::move(start));
      for (auto& prompt : *frame.mutable_count()) counts.push_back(std::move(prompt));
      for (const auto sequence : frame.cancel()) cancelled.push_back(sequence);
    }

    std::mutex mutex;
    std::vector<v1::StartSequence> started;
    std::vector<v1::StartSequence> counts;
    std::vector<std::uint64_t> cancelled;
    std::size_t hellos = 0;
  };

  const std::string worker_id_;
  const std::string model_;
  const std::uint64_t credits_;
  Executor executor_;
  std::vector<v1::Ability> abilities_;
  std::unique_ptr<rpc::RpcServer> server_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Stream>> streams_;  // shared with nobody else; a vector wants copies
  const std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
  std::int32_t sequences_max_ = 0;  ///< 0: it does not say
};

/// One event in one frame.
inline v1::WorkerFrame event_frame(std::uint64_t sequence, const std::string& content, std::int32_t completion,
                                   std::uint64_t credits_total, v1::FinishReason finish = v1::FINISH_REASON_UNSPECIFIED) {
  v1::WorkerFrame frame;
  frame.set_credits_total(credits_total);
  auto* event = frame.add_events();
  event->set_sequence(sequence);
  event->set_accepted(completion == 0);
  event->set_content(content);
  event->mutable_usage()->set_prompt_tokens(10);
  event->mutable_usage()->set_completion_tokens(completion);
  event->set_finish(finish);
  return frame;
}

}  // namespace tidegate::gateway::test
